-- End a live session for good: only its output can still be read for a while.
-- KEYS: pen, output, input, state.  ARGV: token, ttl s, s for which the output stays.
-- Replies 1, or 0 when another worker has the pen.
local pen = redis.call('GET', KEYS[1])
-- Gone, or finished before by a call whose reply was lost.
if not pen or pen == 'over' then return 1 end
if string.sub(pen, 1, #ARGV[1] + 1) ~= ARGV[1] .. '/' then return 0 end
redis.call('UNLINK', KEYS[3], KEYS[4])
-- For a worker that is given the job once more, because this one dies before it has settled it.
redis.call('SET', KEYS[1], 'over', 'EX', ARGV[2])
redis.call('EXPIRE', KEYS[2], ARGV[3])
return 1
