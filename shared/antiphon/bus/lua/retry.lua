-- Acknowledge a failed delivery and put its job aside until it is due again. The server's clock decides.
-- KEYS: stream, delayed.  ARGV: group, entry, delay ms, packed {priority index, field, value, …}.
if redis.call('XACK', KEYS[1], ARGV[1], ARGV[2]) == 0 then return 0 end
local now = redis.call('TIME')
redis.call('ZADD', KEYS[2], now[1] * 1000 + math.floor(now[2] / 1000) + ARGV[3], ARGV[4])
return 1
