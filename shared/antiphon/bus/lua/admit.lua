-- Put a job on its lane unless the backlog is full or its idempotency key is known.
-- KEYS: stream, idempotency, record, listing (the stream again for what is not used), promised.
-- ARGV: group, limit, job, idempotency ttl s (0 = no key), deadline in ms from now (0 = none),
-- jobs that the lane ends in a second, what the caller is known again by (empty until it is asked for),
-- record ttl s (0 = no record),
-- packed fields of the record, then the fields of the entry.
local key = tonumber(ARGV[4]) > 0
if key then
  local known = redis.call('GET', KEYS[2])
  if known then return {'known', known} end
end
local limit = tonumber(ARGV[2])
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local depth = waiting(KEYS[1], ARGV[1], math.min(limit, math.floor(limit / 4)))
local wait = place(KEYS[5], ARGV[7], depth, limit, tonumber(ARGV[6]), now)
if wait == 'who' then return {'who', ''} end
if wait then return {'full', string.format('%d', math.max(wait, -1))} end
local fields = {unpack(ARGV, 10)}
if tonumber(ARGV[5]) > 0 then
  fields[#fields + 1] = 'deadline'
  fields[#fields + 1] = string.format('%d', now + ARGV[5])
end
if key then redis.call('SET', KEYS[2], ARGV[3], 'EX', ARGV[4]) end
if tonumber(ARGV[8]) > 0 then
  redis.call('HSET', KEYS[3], unpack(cmsgpack.unpack(ARGV[9])))
  redis.call('HSET', KEYS[3], 'deadline', tonumber(ARGV[5]) > 0 and fields[#fields] or '')
  redis.call('EXPIRE', KEYS[3], ARGV[8])
  -- In microseconds, which no two admissions share: jobs are listed in the order in which they came.
  redis.call('ZADD', KEYS[4], string.format('%d', clock[1] * 1000000 + clock[2]), ARGV[3])
  -- Records end by themselves; their names go out at the old end as new ones come in.
  local prefix = string.sub(KEYS[3], 1, #KEYS[3] - #ARGV[3])
  for _, old in ipairs(redis.call('ZRANGE', KEYS[4], 0, 1)) do
    if redis.call('EXISTS', prefix .. old) == 0 then redis.call('ZREM', KEYS[4], old) end
  end
  if redis.call('TTL', KEYS[4]) < tonumber(ARGV[8]) then redis.call('EXPIRE', KEYS[4], ARGV[8]) end
end
return {'ok', redis.call('XADD', KEYS[1], '*', unpack(fields))}
