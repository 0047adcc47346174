-- Write an entry that makes the input of a live session, with a life span from the beginning.
-- KEYS: input.  ARGV: ttl s, id of the entry, kind, data.
local entry = redis.call('XADD', KEYS[1], ARGV[2], ARGV[3], ARGV[4])
redis.call('EXPIRE', KEYS[1], ARGV[1])
return entry
