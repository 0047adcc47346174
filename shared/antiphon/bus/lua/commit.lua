-- Write one step of a live session: output, changes of the snapshot, the end of input that is done with.
-- KEYS: pen, output, input, state.
-- ARGV: token, number of the commit, ttl s, first entry of the input that is kept or '', count of outputs, count of
-- fields to be set, then kind, data, audio of each output, name and value of each field, names of fields to be deleted.
-- Replies: 1 written, 2 it was written before, 0 another worker has the pen; and how much output is not sent yet.
local pen = redis.call('GET', KEYS[1])
local number = pen and string.match(pen, '^' .. ARGV[1] .. '/(%d+)$')
if not number then return {0, 0} end
if tonumber(number) >= tonumber(ARGV[2]) then return {2, redis.call('XLEN', KEYS[2])} end
-- A full server allows no script whose first write needs memory, and all of one whose first write frees some.
if ARGV[4] ~= '' then redis.call('XTRIM', KEYS[3], 'MINID', ARGV[4]) end
redis.call('SET', KEYS[1], ARGV[1] .. '/' .. ARGV[2], 'EX', ARGV[3])
local outputs, fields = tonumber(ARGV[5]), tonumber(ARGV[6])
local at = 7
for _ = 1, outputs do
  if ARGV[at + 2] == '' then
    redis.call('XADD', KEYS[2], '*', ARGV[at], ARGV[at + 1])
  else
    redis.call('XADD', KEYS[2], '*', ARGV[at], ARGV[at + 1], 'audio', ARGV[at + 2])
  end
  at = at + 3
end
for _ = 1, fields do
  redis.call('HSET', KEYS[4], ARGV[at], ARGV[at + 1])
  at = at + 2
end
for place = at, #ARGV do redis.call('HDEL', KEYS[4], ARGV[place]) end
-- Not with every commit: each is one more write for replicas and the append-only file.
local soon = ARGV[3] - 30
if outputs > 0 and redis.call('TTL', KEYS[2]) < soon then redis.call('EXPIRE', KEYS[2], ARGV[3]) end
if fields > 0 and redis.call('TTL', KEYS[4]) < soon then redis.call('EXPIRE', KEYS[4], ARGV[3]) end
return {1, redis.call('XLEN', KEYS[2])}
