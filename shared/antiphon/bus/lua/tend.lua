-- Keep a lane tidy: promote due jobs, trim what every group has finished with, forget old wishes and dead workers.
-- KEYS: hi, std, bulk, delayed, cancelled, workers, tended.
-- ARGV: group, pause ms, idle ms after which an empty consumer is dropped, age ms after which a worker counts as gone.
if redis.call('EXISTS', KEYS[7]) == 1 then return 0 end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
-- First, because a full server allows it as the first write of a script: it must be able to trim.
redis.call('ZREMRANGEBYSCORE', KEYS[5], '-inf', now)
redis.call('SET', KEYS[7], '1', 'PX', ARGV[2])
local promoted = 0
for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS[4], '-inf', now, 'LIMIT', 0, 200)) do
  local fields = cmsgpack.unpack(member)
  local stream = KEYS[table.remove(fields, 1)]
  redis.call('XADD', stream, '*', unpack(fields))
  redis.call('ZREM', KEYS[4], member)
  promoted = promoted + 1
end
local function before(a, b)
  local am, as = string.match(a, '(%d+)-(%d+)')
  local bm, bs = string.match(b, '(%d+)-(%d+)')
  if tonumber(am) ~= tonumber(bm) then return tonumber(am) < tonumber(bm) end
  return tonumber(as) < tonumber(bs)
end
for i = 1, 3 do
  local keep
  local ok, groups = pcall(redis.call, 'XINFO', 'GROUPS', KEYS[i])
  if ok and not groups.err then
    for _, group in ipairs(groups) do
      local name, delivered
      for j = 1, #group, 2 do
        if group[j] == 'name' then name = group[j + 1] end
        if group[j] == 'last-delivered-id' then delivered = group[j + 1] end
      end
      local oldest = redis.call('XPENDING', KEYS[i], name)[2]
      -- Pending entries lie before the last delivered one, and it is kept itself: lag stays exact.
      local id = oldest or delivered
      if not keep or before(id, keep) then keep = id end
    end
    if keep and keep ~= '0-0' then redis.call('XTRIM', KEYS[i], 'MINID', keep) end
    for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[i], ARGV[1])) do
      local name, pending, idle
      for j = 1, #consumer, 2 do
        if consumer[j] == 'name' then name = consumer[j + 1] end
        if consumer[j] == 'pending' then pending = consumer[j + 1] end
        if consumer[j] == 'idle' then idle = consumer[j + 1] end
      end
      -- Deleting a consumer that holds entries would lose them.
      if pending == 0 and idle > tonumber(ARGV[3]) then redis.call('XGROUP', 'DELCONSUMER', KEYS[i], ARGV[1], name) end
    end
  end
end
local workers = redis.call('HGETALL', KEYS[6])
for i = 1, #workers, 2 do
  local seen = tonumber(string.match(workers[i + 1], '^(%d+)'))
  if not seen or now - seen > tonumber(ARGV[4]) then redis.call('HDEL', KEYS[6], workers[i]) end
end
return promoted
