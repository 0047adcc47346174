-- Report a living worker, stamped by the server's clock; reply with it.
-- KEYS: workers, attended.  ARGV: consumer, report, ttl s, s for which the lane counts as attended.
local time = redis.call('TIME')
-- A full server refuses a script whose first write needs memory; this one does not, and opens the way for the next.
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('HSET', KEYS[1], ARGV[1], string.format('%d', time[1] * 1000 + math.floor(time[2] / 1000)) .. ' ' .. ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[3])
redis.call('SET', KEYS[2], '1', 'EX', ARGV[4])
return time[1] * 1000 + math.floor(time[2] / 1000)
