-- Give a worker what was handed to it in a reply that was cut off. Its lease starts anew; it is not another delivery.
-- KEYS: hi, std, bulk.  ARGV: group, consumer, most, then what it knows of: pairs of stream index and entry.
local known, taken = {}, {}
for i = 4, #ARGV, 2 do known[ARGV[i] .. ':' .. ARGV[i + 1]] = true end
for i = 1, 3 do
  local mine = redis.pcall('XPENDING', KEYS[i], ARGV[1], '-', '+', ARGV[3], ARGV[2])
  for _, pending in ipairs(mine.err and {} or mine) do
    if not known[i .. ':' .. pending[1]] then
      local entry = redis.call('XRANGE', KEYS[i], pending[1], pending[1])[1]
      if entry then
        redis.call('XCLAIM', KEYS[i], ARGV[1], ARGV[2], 0, pending[1], 'JUSTID')
        taken[#taken + 1] = {i, pending[1], entry[2], pending[4]}
      end
    end
  end
end
return taken
