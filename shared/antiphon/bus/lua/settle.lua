-- End a delivery: acknowledge, store the one visible result, reply, close the output, bury. The first settle wins.
-- KEYS: stream, result, replies, output, fence, checkpoint, dead, cancelled.
-- ARGV: group, consumer, entry, must be ours?, outcome, result ttl s, job, replies?, streamed?, output ttl s, dead limit,
-- dead fields as a packed list or ''.
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
  -- Capped: a reader that is gone must not fill the server.
  redis.call('XADD', KEYS[3], 'MAXLEN', '~', 10000, '*', 'id', ARGV[7], 'data', outcome)
  redis.call('EXPIRE', KEYS[3], 3600)
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
