-- End a delivery: acknowledge, store the one visible result, reply, close the output, bury. The first settle wins.
-- KEYS: stream, result, replies, output, fence, checkpoint, dead, cancelled, events, record, batch.
-- ARGV: group, consumer, entry, must be ours?, outcome, result ttl s, job, replies?, streamed?, output ttl s, dead limit,
-- dead fields as a packed list or '', event or '', status, attempts, ms at which it ended, tracked?,
-- event of a batch that has ended or '' for a job without one.
if ARGV[4] == '1' then
  local mine = redis.pcall('XPENDING', KEYS[1], ARGV[1], ARGV[3], ARGV[3], 1, ARGV[2])
  if mine.err or #mine == 0 then return 0 end
end
-- The first write is one that a full server allows; the rest of a script that has begun to write is then allowed too.
if redis.call('XACK', KEYS[1], ARGV[1], ARGV[3]) == 0 then return 0 end
local outcome = ARGV[5]
local first = redis.call('SET', KEYS[2], outcome, 'NX', 'EX', ARGV[6])
if not first then
  -- The same job was put on the bus twice: whoever waits for this copy gets the result that is already visible.
  outcome = redis.call('GET', KEYS[2])
elseif ARGV[12] ~= '' then
  redis.call('XADD', KEYS[7], 'MAXLEN', '~', ARGV[11], '*', unpack(cmsgpack.unpack(ARGV[12])))
end
if ARGV[8] == '1' then
  redis.call('XADD', KEYS[3], '*', 'id', ARGV[7], 'data', outcome)
  local length = redis.call('XLEN', KEYS[3])
  if length > 10000 then
    -- A reader that is gone must not fill the server; but what a consumer group has not read yet stays, within reason.
    local groups = redis.pcall('XINFO', 'GROUPS', KEYS[3])
    redis.call('XTRIM', KEYS[3], 'MAXLEN', '~', #groups > 0 and 1000000 or 10000)
  end
  -- Whoever reads in a group lengthens this by far.
  if redis.call('TTL', KEYS[3]) < 3600 then redis.call('EXPIRE', KEYS[3], 3600) end
end
if first and ARGV[13] ~= '' then redis.call('XADD', KEYS[9], '*', 'data', ARGV[13]) end
if first and ARGV[17] == '1' and redis.call('EXISTS', KEYS[10]) == 1 then
  redis.call('HSET', KEYS[10], 'status', ARGV[14], 'attempts', ARGV[15], 'finished_ms', ARGV[16])
  redis.call('EXPIRE', KEYS[10], ARGV[6])
end
if first and ARGV[18] ~= '' and redis.call('EXISTS', KEYS[11]) == 1 then
  redis.call('HINCRBY', KEYS[11], ARGV[14], 1)
  redis.call('HSET', KEYS[11], 'updated_ms', ARGV[16])
  local counts = redis.call('HMGET', KEYS[11], 'total', 'completed', 'failed', 'cancelled', 'expired')
  local ended = 0
  for i = 2, 5 do ended = ended + tonumber(counts[i] or 0) end
  if ended == tonumber(counts[1]) then redis.call('XADD', KEYS[9], '*', 'data', ARGV[18]) end
end
if ARGV[9] == '1' and first then
  redis.call('XADD', KEYS[4], '*', 'kind', 'outcome', 'seq', redis.call('XLEN', KEYS[4]), 'data', outcome)
  redis.call('EXPIRE', KEYS[4], ARGV[10])
  redis.call('DEL', KEYS[5])
end
redis.call('DEL', KEYS[6])
redis.call('ZREM', KEYS[8], ARGV[7])
if first then return 1 end
return 2
