-- Say that requests still run: KEYS: running. ARGV: how long they count so in ms, then who they are.
local clock = redis.call('TIME')
local until_ms = string.format('%.3f', clock[1] * 1000 + clock[2] / 1000 + ARGV[1])
for i = 2, #ARGV do redis.call('ZADD', KEYS[1], until_ms, ARGV[i]) end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
