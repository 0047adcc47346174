-- Return how many jobs of a stream have not ended, as exactly as is needed to tell whether there are `enough`.
-- The stream is trimmed behind the oldest of them, so its length bounds them; only a long one needs the exact figure.
local function waiting(stream, group, enough)
  local depth = redis.call('XLEN', stream)
  if depth < enough then return depth end
  local groups = redis.pcall('XINFO', 'GROUPS', stream)
  if groups.err then return depth end
  for _, row in ipairs(groups) do
    local facts = {}
    for j = 1, #row, 2 do facts[row[j]] = row[j + 1] end
    if facts.name == group and facts.lag then return facts.lag + facts.pending end
  end
  return depth
end
