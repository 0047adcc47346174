-- Note something about a tracked job that has not ended, and that the first job of its batch has begun.
-- KEYS: record, batch, events, result.  ARGV: event of a batch that begins or '', then fields and values of the record.
if redis.call('EXISTS', KEYS[4]) == 1 then return 0 end
if #ARGV > 1 and redis.call('EXISTS', KEYS[1]) == 1 then redis.call('HSET', KEYS[1], unpack(ARGV, 2)) end
if ARGV[1] ~= '' and redis.call('EXISTS', KEYS[2]) == 1 and redis.call('HSETNX', KEYS[2], 'started', '1') == 1 then
  redis.call('XADD', KEYS[3], '*', 'data', ARGV[1])
end
return 1
