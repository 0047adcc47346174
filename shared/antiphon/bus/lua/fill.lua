-- Put jobs on a lane, as many as there is room for.
-- KEYS: stream.  ARGV: group, limit, deadline in ms from now (0 = none), number of arguments that follow and are fields
-- and values of every entry, these, then the data of each job.  Replies: ok or full, how many.
local limit, common = tonumber(ARGV[2]), tonumber(ARGV[4])
local wanted = #ARGV - 4 - common
-- The stream is trimmed behind the oldest unfinished job, so its length bounds the backlog; only a long one needs the exact figure.
local depth = redis.call('XLEN', KEYS[1])
if depth + wanted > limit then
  local groups = redis.pcall('XINFO', 'GROUPS', KEYS[1])
  if not groups.err then
    for _, group in ipairs(groups) do
      local name, lag
      for j = 1, #group, 2 do
        if group[j] == 'name' then name = group[j + 1] end
        if group[j] == 'lag' then lag = group[j + 1] end
      end
      if name == ARGV[1] and lag then depth = lag end
    end
  end
end
local room = math.max(0, math.min(wanted, limit - depth))
local fields = {unpack(ARGV, 5, 4 + common)}
if tonumber(ARGV[3]) > 0 then
  local clock = redis.call('TIME')
  fields[#fields + 1] = 'deadline'
  fields[#fields + 1] = string.format('%d', clock[1] * 1000 + math.floor(clock[2] / 1000) + ARGV[3])
end
for i = 1, room do redis.call('XADD', KEYS[1], '*', 'data', ARGV[4 + common + i], unpack(fields)) end
return {room > 0 and 'ok' or 'full', tostring(room)}
