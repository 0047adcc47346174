-- Take the pen of a live session from whoever has it, and load its snapshot.
-- KEYS: pen, state, output.  ARGV: token, ttl s.  Replies: was it finished before?, fields and values of the snapshot.
if redis.call('GET', KEYS[1]) == 'over' then return {1, {}} end
-- First, because a full server allows it as the first write of a script: a session that lives must go on.
redis.call('DEL', KEYS[1])
redis.call('SET', KEYS[1], ARGV[1] .. '/0', 'EX', ARGV[2])
redis.call('EXPIRE', KEYS[2], ARGV[2])
redis.call('EXPIRE', KEYS[3], ARGV[2])
return {0, redis.call('HGETALL', KEYS[2])}
