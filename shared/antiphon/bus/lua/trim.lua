-- Trim a stream of outcomes behind what every group has finished with, forget consumers that hold nothing and are idle.
-- KEYS: replies.  ARGV: ttl s, idle ms after which an empty consumer is dropped.
local groups = redis.pcall('XINFO', 'GROUPS', KEYS[1])
if groups.err then return 0 end
-- Whoever reads keeps the stream alive: the writer only sees to it that one without readers ends.
redis.call('EXPIRE', KEYS[1], ARGV[1])
local function facts(row)
  local found = {}
  for j = 1, #row, 2 do found[row[j]] = row[j + 1] end
  return found
end
local function before(a, b)
  local am, as = string.match(a, '(%d+)-(%d+)')
  local bm, bs = string.match(b, '(%d+)-(%d+)')
  if tonumber(am) ~= tonumber(bm) then return tonumber(am) < tonumber(bm) end
  return tonumber(as) < tonumber(bs)
end
local keep
for _, row in ipairs(groups) do
  local group = facts(row)
  local oldest = redis.call('XPENDING', KEYS[1], group.name)[2]
  -- Pending entries lie before the last delivered one, and it is kept itself: lag stays exact.
  local id = oldest or group['last-delivered-id']
  if not keep or before(id, keep) then keep = id end
  for _, line in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], group.name)) do
    local consumer = facts(line)
    -- Deleting a consumer that holds entries would lose them.
    if consumer.pending == 0 and consumer.idle > tonumber(ARGV[2]) then
      redis.call('XGROUP', 'DELCONSUMER', KEYS[1], group.name, consumer.name)
    end
  end
end
if not keep or keep == '0-0' then return 0 end
return redis.call('XTRIM', KEYS[1], 'MINID', keep)
