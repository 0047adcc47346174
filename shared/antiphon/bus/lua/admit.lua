-- Put a job on its lane unless the backlog is full or its idempotency key is known.
-- KEYS: stream, idempotency, record, listing, promised (the stream again for what is not used).
-- ARGV: group, limit, job, idempotency ttl s (0 = no key), deadline in ms from now (0 = none),
-- jobs that the lane ends in a second, longest wait that is told ms, record ttl s (0 = no record),
-- packed fields of the record, then the fields of the entry.
local key = tonumber(ARGV[4]) > 0
if key then
  local known = redis.call('GET', KEYS[2])
  if known then return {'known', known} end
end
local limit = tonumber(ARGV[2])
local depth = waiting(KEYS[1], ARGV[1], limit)
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
if depth >= limit then
  local rate = tonumber(ARGV[6])
  if rate <= 0 then return {'full', '-1'} end
  -- Callers that were refused are told one after the other, so that each finds a place when it comes back; those who
  -- never come back must not push the time on for ever.
  local free = now + (depth - limit + 1) / rate * 1000
  local promised = tonumber(redis.call('GET', KEYS[5]) or '0')
  local at = math.min(math.max(free, promised + 1000 / rate), now + ARGV[7])
  -- A full server refuses this write; the caller is refused all the same.
  redis.pcall('SET', KEYS[5], string.format('%d', at), 'PX', string.format('%d', at - now + 1000))
  return {'full', string.format('%d', at - now)}
end
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
