-- Take seconds of audio that were heard or spoken from an allowance, whether it has them or not.
-- KEYS: level, mark (the level again for none).
-- ARGV: seconds a minute, seconds, how long the mark is kept in ms (0 = no mark).
-- Returns ms until all of it is there again.
local now = time_ms()
local audio = used(KEYS[1], 'audio', now)
if tonumber(ARGV[3]) > 0 and not redis.call('SET', KEYS[2], 1, 'NX', 'PX', ARGV[3]) then
  return string.format('%.3f', audio)
end
local seconds = tonumber(ARGV[2])
if seconds > 0 then
  audio = audio + seconds * MINUTE / tonumber(ARGV[1])
  use(KEYS[1], 'audio', audio, now)
end
return string.format('%.3f', audio)
