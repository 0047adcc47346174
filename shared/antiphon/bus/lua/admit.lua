-- Put a job on its lane unless the backlog is full or its idempotency key is known.
-- KEYS: stream, idempotency (or the stream again when there is no key).
-- ARGV: group, limit, job, idempotency ttl s (0 = no key), then the fields of the entry.
local key = tonumber(ARGV[4]) > 0
if key then
  local known = redis.call('GET', KEYS[2])
  if known then return {'known', known} end
end
-- The stream is trimmed behind the oldest unfinished job, so its length bounds the backlog; only a long one needs the exact figure.
local depth = redis.call('XLEN', KEYS[1])
if depth >= tonumber(ARGV[2]) then
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
  if depth >= tonumber(ARGV[2]) then return {'full', tostring(depth)} end
end
if key then redis.call('SET', KEYS[2], ARGV[3], 'EX', ARGV[4]) end
return {'ok', redis.call('XADD', KEYS[1], '*', unpack(ARGV, 5))}
