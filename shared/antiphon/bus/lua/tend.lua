-- Keep a lane tidy: promote due jobs, trim what every group has finished with, forget old wishes and dead workers.
-- KEYS: hi, std, bulk, delayed, cancelled, workers, tended, events.
-- ARGV: pause ms, idle ms after which an empty consumer is dropped, age ms after which a worker counts as gone,
-- ms for which an event waits for its readers, events that are kept when there are none.
if redis.call('EXISTS', KEYS[7]) == 1 then return 0 end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
-- First, because a full server allows it as the first write of a script: it must be able to trim.
redis.call('ZREMRANGEBYSCORE', KEYS[5], '-inf', now)
redis.call('SET', KEYS[7], '1', 'PX', ARGV[1])
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
-- Read a reply of names and values into a table.
local function facts(row)
  local found = {}
  for j = 1, #row, 2 do found[row[j]] = row[j + 1] end
  return found
end
-- Trim what every group of a stream has finished with, drop its idle consumers; tell whether it has any group.
local function tidy(key)
  local keep
  local groups = redis.pcall('XINFO', 'GROUPS', key)
  if groups.err then return false end
  for _, row in ipairs(groups) do
    local group = facts(row)
    local oldest = redis.call('XPENDING', key, group.name)[2]
    -- Pending entries lie before the last delivered one, and it is kept itself: lag stays exact.
    local id = oldest or group['last-delivered-id']
    if not keep or before(id, keep) then keep = id end
    for _, line in ipairs(redis.call('XINFO', 'CONSUMERS', key, group.name)) do
      local consumer = facts(line)
      -- Deleting a consumer that holds entries would lose them.
      if consumer.pending == 0 and consumer.idle > tonumber(ARGV[2]) then
        redis.call('XGROUP', 'DELCONSUMER', key, group.name, consumer.name)
      end
    end
  end
  if keep and keep ~= '0-0' then redis.call('XTRIM', key, 'MINID', keep) end
  return keep ~= nil
end
for i = 1, 3 do tidy(KEYS[i]) end
if tidy(KEYS[8]) then
  redis.call('XTRIM', KEYS[8], 'MINID', '~', string.format('%d', now - ARGV[4]))
else
  redis.call('XTRIM', KEYS[8], 'MAXLEN', '~', ARGV[5])
end
local workers = redis.call('HGETALL', KEYS[6])
for i = 1, #workers, 2 do
  local seen = tonumber(string.match(workers[i + 1], '^(%d+)'))
  if not seen or now - seen > tonumber(ARGV[3]) then redis.call('HDEL', KEYS[6], workers[i]) end
end
return promoted
