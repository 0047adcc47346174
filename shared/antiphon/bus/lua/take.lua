-- Hand over up to `count` new jobs, the more urgent streams first unless told otherwise.
-- KEYS: hi, std, bulk, cancelled.  ARGV: group, consumer, count, order ("123" or "321"), most of the third stream.
local left = tonumber(ARGV[3])
local taken = {}
for digit in string.gmatch(ARGV[4], '%d') do
  if left <= 0 then break end
  local count = digit == '3' and math.min(left, tonumber(ARGV[5])) or left
  local reply = count > 0
    and redis.call('XREADGROUP', 'GROUP', ARGV[1], ARGV[2], 'COUNT', count, 'STREAMS', KEYS[tonumber(digit)], '>')
  if reply then
    local entries = reply[1][2]
    left = left - #entries
    taken[#taken + 1] = {tonumber(digit), entries}
  end
end
return {redis.call('ZCARD', KEYS[4]), taken}
