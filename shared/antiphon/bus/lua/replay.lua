-- Put a dead letter back on its lane with its attempts reset; its failed result makes room for a new one.
-- KEYS: dead, stream, result.  ARGV: dead entry, then the fields of the new entry.
if #redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1]) == 0 then return 0 end
local result = redis.call('GET', KEYS[3])
if result and cjson.decode(result)['status'] == 'completed' then return 2 end
redis.call('DEL', KEYS[3])
redis.call('XADD', KEYS[2], '*', unpack(ARGV, 2))
redis.call('XDEL', KEYS[1], ARGV[1])
return 1
