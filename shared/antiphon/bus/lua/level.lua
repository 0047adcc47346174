-- What is used up of an allowance is a stretch of time: that in which it will all be there again. It is kept as the
-- moment of that, so it shrinks by itself, and it is longer than a minute where more was used than there was.
local MINUTE = 60000
local function time_ms()
  local clock = redis.call('TIME')
  return clock[1] * 1000 + clock[2] / 1000
end
local function used(key, field, now)
  return math.max(0, tonumber(redis.call('HGET', key, field) or now) - now)
end
local function use(key, field, ahead, now)
  redis.call('HSET', key, field, string.format('%.3f', now + ahead))
  local left = math.ceil(ahead) + 1000
  if redis.call('PTTL', key) < left then redis.call('PEXPIRE', key, left) end
end
