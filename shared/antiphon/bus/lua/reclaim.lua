-- Take over jobs whose worker has given no sign of life for a lease, urgent streams first.
-- KEYS: hi, std, bulk.  ARGV: group, consumer, idle ms, count, one cursor for each stream, most of the third stream.
local left = tonumber(ARGV[4])
local taken, cursors = {}, {}
for i = 1, 3 do
  cursors[i] = ARGV[4 + i]
  -- One call looks at ten entries for each that is wanted. Behind many healthy ones that would be rounds too few:
  -- go on to the end of the pending entries, which the slots of all workers bound.
  local looks = 0
  local room = i == 3 and math.min(left, tonumber(ARGV[8])) or left
  while room > 0 and looks < 100 do
    local reply = redis.call('XAUTOCLAIM', KEYS[i], ARGV[1], ARGV[2], ARGV[3], cursors[i], 'COUNT', room)
    cursors[i] = reply[1]
    looks = looks + 1
    for _, entry in ipairs(reply[2]) do
      -- An entry that was removed from the stream has no fields and nothing that could be run.
      if entry and entry[2] then
        local times = redis.call('XPENDING', KEYS[i], ARGV[1], entry[1], entry[1], 1)[1][4]
        taken[#taken + 1] = {i, entry[1], entry[2], times}
        left, room = left - 1, room - 1
      end
    end
    if cursors[i] == '0-0' then break end
  end
end
return {cursors, taken}
