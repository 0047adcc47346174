-- Acknowledge a failed delivery that is still ours and put its job aside until it is due again, by the server's clock.
-- KEYS: stream, delayed, fence.  ARGV: group, consumer, entry, delay ms, packed {priority index, field, value, …},
-- place of the entry in tokens.
local mine = redis.pcall('XPENDING', KEYS[1], ARGV[1], ARGV[3], ARGV[3], 1, ARGV[2])
if mine.err or #mine == 0 then return 0 end
redis.call('XACK', KEYS[1], ARGV[1], ARGV[3])
local now = redis.call('TIME')
redis.call('ZADD', KEYS[2], now[1] * 1000 + math.floor(now[2] / 1000) + ARGV[4], ARGV[5])
-- The next attempt comes as another entry: let it write the output, unless another copy of the job does.
local writer = redis.call('GET', KEYS[3])
if writer and string.sub(writer, 1, #ARGV[6]) == ARGV[6] then redis.call('DEL', KEYS[3]) end
return 1
