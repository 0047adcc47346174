-- Keep a finished step of a long job, and forget those that an earlier attempt made from that place on.
-- KEYS: checkpoint, stream.  ARGV: group, consumer, entry, index, data, ttl s.
local mine = redis.pcall('XPENDING', KEYS[2], ARGV[1], ARGV[3], ARGV[3], 1, ARGV[2])
if mine.err or #mine == 0 then return 0 end
local index = tonumber(ARGV[4])
if redis.call('TYPE', KEYS[1]).ok == 'string' then redis.call('DEL', KEYS[1]) end
if index == 0 then
  redis.call('DEL', KEYS[1])
elseif redis.call('LLEN', KEYS[1]) > index then
  redis.call('LTRIM', KEYS[1], 0, index - 1)
end
redis.call('RPUSH', KEYS[1], ARGV[5])
redis.call('EXPIRE', KEYS[1], ARGV[6])
return 1
