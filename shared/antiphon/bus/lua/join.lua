-- Make a consumer group of a stream of outcomes from its first entry on, and lengthen the life of the stream.
-- KEYS: replies.  ARGV: group, ttl s.
local made = redis.pcall('XGROUP', 'CREATE', KEYS[1], ARGV[1], '0', 'MKSTREAM')
if made.err and not string.find(made.err, 'BUSYGROUP', 1, true) then return made end
redis.call('EXPIRE', KEYS[1], ARGV[2])
return 1
