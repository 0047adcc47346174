-- Hand deliveries back so that any peer may take them at once.
-- KEYS: hi, std, bulk, control.  ARGV: group, consumer, then triples of stream index, entry, deliveries to be counted.
local released = 0
for i = 3, #ARGV, 3 do
  local key, entry = KEYS[tonumber(ARGV[i])], ARGV[i + 1]
  local mine = redis.pcall('XPENDING', key, ARGV[1], entry, entry, 1, ARGV[2])
  if not mine.err and #mine > 0 then
    redis.call('XCLAIM', key, ARGV[1], ARGV[2], 0, entry, 'IDLE', 1000000000, 'RETRYCOUNT', ARGV[i + 2], 'JUSTID')
    released = released + 1
  end
end
if released > 0 then
  redis.call('XADD', KEYS[4], 'MAXLEN', '~', 1000, '*', 'released', released)
  redis.call('EXPIRE', KEYS[4], 3600)
end
return released
