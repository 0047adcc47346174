-- Append to the output of a job, if no later attempt has begun to write it. A new attempt opens with `reset`.
-- KEYS: output, fence.  ARGV: attempt, kind, data, ttl s.
local writer = tonumber(redis.call('GET', KEYS[2]) or '0')
local attempt = tonumber(ARGV[1])
if writer > attempt then return 0 end
local length = redis.call('XLEN', KEYS[1])
if writer < attempt then
  redis.call('SET', KEYS[2], attempt, 'EX', ARGV[4])
  if length > 0 then
    redis.call('XADD', KEYS[1], '*', 'kind', 'reset', 'seq', length, 'data', '')
    length = length + 1
  end
end
redis.call('XADD', KEYS[1], '*', 'kind', ARGV[2], 'seq', length, 'data', ARGV[3])
if length % 16 == 0 then
  redis.call('EXPIRE', KEYS[1], ARGV[4])
  redis.call('EXPIRE', KEYS[2], ARGV[4])
end
return 1
