-- Append to the output of a job. One attempt writes it at a time: the one whose token is the fence.
-- KEYS: output, fence, stream, result.
-- ARGV: token, which begins with its entry's place, kind, data, ttl s, group, consumer, entry, place.
-- Replies: written, lost (a peer holds the job), ended (it has a result), busy (another copy of the job is writing).
local length = redis.call('XLEN', KEYS[1])
local writer = redis.call('GET', KEYS[2])
if writer ~= ARGV[1] then
  -- An attempt may take up the pen if it holds the entry. Attempts at one entry follow each other, so an older one has
  -- stopped; a copy of the job under another entry has not, and two voices in one output would be noise.
  local mine = redis.pcall('XPENDING', KEYS[3], ARGV[5], ARGV[7], ARGV[7], 1, ARGV[6])
  if mine.err or #mine == 0 then return 'lost' end
  if redis.call('EXISTS', KEYS[4]) == 1 then return 'ended' end
  if writer and string.sub(writer, 1, #ARGV[8]) ~= ARGV[8] then return 'busy' end
  redis.call('SET', KEYS[2], ARGV[1], 'EX', ARGV[4])
  if length > 0 then
    redis.call('XADD', KEYS[1], '*', 'kind', 'reset', 'seq', length, 'data', '')
    length = length + 1
  end
end
redis.call('XADD', KEYS[1], '*', 'kind', ARGV[2], 'seq', length, 'data', ARGV[3])
redis.call('EXPIRE', KEYS[1], ARGV[4])
redis.call('EXPIRE', KEYS[2], ARGV[4])
return 'written'
