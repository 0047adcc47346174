-- Hand back everything a leaving consumer still holds, also what it was given and never saw; none of it counts as an attempt.
-- KEYS: hi, std, bulk, control, workers.  ARGV: group, consumer.
local released = 0
for i = 1, 3 do
  local held = redis.pcall('XPENDING', KEYS[i], ARGV[1], '-', '+', 10000, ARGV[2])
  if not held.err then
    for _, entry in ipairs(held) do
      local count = math.max(entry[4] - 1, 0)
      redis.call('XCLAIM', KEYS[i], ARGV[1], ARGV[2], 0, entry[1], 'IDLE', 1000000000, 'RETRYCOUNT', count, 'JUSTID')
      released = released + 1
    end
  end
end
redis.call('HDEL', KEYS[5], ARGV[2])
if released > 0 then
  redis.call('XADD', KEYS[4], 'MAXLEN', '~', 1000, '*', 'released', released)
  redis.call('EXPIRE', KEYS[4], 3600)
end
return released
