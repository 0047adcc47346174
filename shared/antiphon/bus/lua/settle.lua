-- End a delivery: acknowledge, store the one visible result, reply, close the output, bury. The first settle wins.
-- KEYS: stream, result, replies, output, fence, checkpoint, dead, cancelled.
-- ARGV: group, entry, outcome, result ttl s, job, replies?, streamed?, output ttl s, dead limit, dead fields as a packed list or ''.
if redis.call('XACK', KEYS[1], ARGV[1], ARGV[2]) == 0 then return 0 end
local outcome = ARGV[3]
local first = redis.call('SET', KEYS[2], outcome, 'NX', 'EX', ARGV[4])
if not first then
  -- The same job was put on the bus twice: whoever waits for this copy gets the result that is already visible.
  outcome = redis.call('GET', KEYS[2])
elseif ARGV[10] ~= '' then
  redis.call('XADD', KEYS[7], 'MAXLEN', '~', ARGV[9], '*', unpack(cmsgpack.unpack(ARGV[10])))
end
if ARGV[6] == '1' then
  redis.call('XADD', KEYS[3], '*', 'id', ARGV[5], 'data', outcome)
  redis.call('EXPIRE', KEYS[3], 3600)
end
if ARGV[7] == '1' and first then
  redis.call('XADD', KEYS[4], '*', 'kind', 'outcome', 'seq', redis.call('XLEN', KEYS[4]), 'data', outcome)
  redis.call('EXPIRE', KEYS[4], ARGV[8])
  redis.call('DEL', KEYS[5])
end
redis.call('DEL', KEYS[6])
redis.call('ZREM', KEYS[8], ARGV[5])
if first then return 1 end
return 2
