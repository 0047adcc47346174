-- Put jobs on a lane, as many as there is room for.
-- KEYS: stream.  ARGV: group, limit, deadline in ms from now (0 = none), number of arguments that follow and are fields
-- and values of every entry, these, then the data of each job.  Replies: ok or full, how many.
local limit, common = tonumber(ARGV[2]), tonumber(ARGV[4])
local wanted = #ARGV - 4 - common
local depth = waiting(KEYS[1], ARGV[1], limit - wanted + 1)
local room = math.max(0, math.min(wanted, limit - depth))
local fields = {unpack(ARGV, 5, 4 + common)}
if tonumber(ARGV[3]) > 0 then
  local clock = redis.call('TIME')
  fields[#fields + 1] = 'deadline'
  fields[#fields + 1] = string.format('%d', clock[1] * 1000 + math.floor(clock[2] / 1000) + ARGV[3])
end
for i = 1, room do redis.call('XADD', KEYS[1], '*', 'data', ARGV[4 + common + i], unpack(fields)) end
return {room > 0 and 'ok' or 'full', tostring(room)}
