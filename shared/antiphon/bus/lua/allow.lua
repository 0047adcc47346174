-- Let a request pass if all of its allowances have room, and take what it takes of them; or only tell how they stand.
-- KEYS: level, running.
-- ARGV: requests a minute, seconds of audio a minute, running at once (0 = any number); who runs (empty = nobody);
-- how long it counts as running, in ms; whether there must be audio left; whether to take.
-- Returns what there is no room for (or `ok`), ms until all requests and all audio are there again, how many run.
local now = time_ms()
local rpm, most, who = tonumber(ARGV[1]), tonumber(ARGV[3]), ARGV[4]
local requests, audio = used(KEYS[1], 'requests', now), used(KEYS[1], 'audio', now)
local running, known = 0, false
if most > 0 then
  redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', string.format('%.3f', now))
  running = redis.call('ZCARD', KEYS[2])
  known = who ~= '' and redis.call('ZSCORE', KEYS[2], who)
end
local short = 'ok'
if rpm > 0 and requests + MINUTE / rpm > MINUTE + 0.001 then
  short = 'requests'
elseif ARGV[6] == '1' and tonumber(ARGV[2]) > 0 and audio >= MINUTE then
  short = 'audio_seconds'
elseif most > 0 and who ~= '' and not known and running >= most then
  short = 'concurrency'
end
if short == 'ok' and ARGV[7] == '1' then
  if rpm > 0 and not known then
    requests = requests + MINUTE / rpm
    use(KEYS[1], 'requests', requests, now)
  end
  if most > 0 and who ~= '' then
    redis.call('ZADD', KEYS[2], string.format('%.3f', now + ARGV[5]), who)
    redis.call('PEXPIRE', KEYS[2], ARGV[5])
    if not known then running = running + 1 end
  end
end
return {short, string.format('%.3f', requests), string.format('%.3f', audio), running}
