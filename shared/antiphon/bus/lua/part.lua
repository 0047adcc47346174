-- Let the peers of a leaving consumer have at once what it did not acknowledge, and strike it off when that is nothing.
-- KEYS: replies.  ARGV: group, consumer.
local held = redis.pcall('XPENDING', KEYS[1], ARGV[1], '-', '+', 10000, ARGV[2])
if held.err then return 0 end
for _, entry in ipairs(held) do
  redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, entry[1], 'IDLE', 1000000000, 'RETRYCOUNT', entry[4], 'JUSTID')
end
if #held == 0 then redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2]) end
return #held
