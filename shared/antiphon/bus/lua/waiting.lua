-- Return how many jobs of a stream nobody has taken, as exactly as is needed to tell whether there are `enough`.
-- The stream is trimmed behind the oldest unfinished job, so its length bounds them; only a long one needs the exact figure.
local function waiting(stream, group, enough)
  local depth = redis.call('XLEN', stream)
  if depth < enough then return depth end
  local groups = redis.pcall('XINFO', 'GROUPS', stream)
  if groups.err then return depth end
  for _, row in ipairs(groups) do
    local name, lag
    for j = 1, #row, 2 do
      if row[j] == 'name' then name = row[j + 1] end
      if row[j] == 'lag' then lag = row[j + 1] end
    end
    if name == group and lag then return lag end
  end
  return depth
end
