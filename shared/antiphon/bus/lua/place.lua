-- Find a place for a caller on a lane that holds `depth` jobs of at most `limit`; return nil, or ms after which to come back.
-- Where it matters who the caller is and `who` is empty, the answer is 'who'.
-- Who is refused is promised a place of its own, one after the other at the pace of the lane, and is known again by what it
-- asks for. It gets its place when it comes as it was told; until then, others do not take it.
-- `line` is the sorted set of promises, scored by the ms they are due.
local GRACE, FARTHEST, MOST = 10000, 600000, 10000
local function place(line, who, depth, limit, rate, now)
  local promises = redis.call('ZCARD', line)
  if promises == 0 and depth < limit then return nil end
  if who == '' then return 'who' end
  if rate <= 0 then return depth >= limit and -1 or nil end
  local each = 1000 / rate
  local mine = redis.call('ZSCORE', line, who)
  if mine then
    mine = tonumber(mine)
    if now < mine - 50 then return mine - now end
    -- A pace that was told too high is made up for by a line that is a little longer, not by a broken promise.
    if depth < 2 * limit then
      redis.pcall('ZREM', line, who)
      return nil
    end
  else
    promises = redis.call('ZCOUNT', line, now - GRACE, '+inf')
    -- Where little is left to do, those who were sent away have not come back.
    if depth + promises < limit or depth < limit / 4 then return nil end
  end
  -- A full server refuses these writes; the caller is refused all the same.
  redis.pcall('ZREMRANGEBYSCORE', line, '-inf', '(' .. string.format('%d', now - GRACE))
  local last = redis.call('ZREVRANGE', line, 0, 0, 'WITHSCORES')[2]
  local at = math.max(now + (depth - limit + 1) * each, tonumber(last or now) + each)
  at = math.min(at, now + FARTHEST)
  if redis.call('ZCARD', line) < MOST then
    redis.pcall('ZADD', line, string.format('%d', at), who)
    redis.pcall('PEXPIRE', line, string.format('%d', at - now + GRACE))
  end
  return at - now
end
