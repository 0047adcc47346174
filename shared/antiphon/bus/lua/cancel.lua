-- Ask for a job to be stopped, unless it has ended. The entry itself is never deleted: that would spoil the lag.
-- KEYS: cancelled, control, result.  ARGV: job, ms for which the wish is remembered.
if redis.call('EXISTS', KEYS[3]) == 1 then return 0 end
local time = redis.call('TIME')
redis.call('ZADD', KEYS[1], time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[2], ARGV[1])
redis.call('XADD', KEYS[2], 'MAXLEN', '~', 1000, '*', 'cancel', ARGV[1])
redis.call('EXPIRE', KEYS[2], 3600)
return 1
