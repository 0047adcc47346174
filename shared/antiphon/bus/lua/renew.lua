-- Renew the leases that are still ours; tell which were taken from us and which jobs are to be stopped.
-- KEYS: hi, std, bulk, cancelled.  ARGV: group, consumer, then triples of stream index, entry, job.
-- Replies with places in the list of triples, from 0: entries of two streams may have the same id.
local lost, stop = {}, {}
for i = 3, #ARGV, 3 do
  local key, entry = KEYS[tonumber(ARGV[i])], ARGV[i + 1]
  local mine = redis.pcall('XPENDING', key, ARGV[1], entry, entry, 1, ARGV[2])
  if mine.err or #mine == 0 then
    lost[#lost + 1] = (i - 3) / 3
  else
    redis.call('XCLAIM', key, ARGV[1], ARGV[2], 0, entry, 'JUSTID')
    if redis.call('ZSCORE', KEYS[4], ARGV[i + 2]) then stop[#stop + 1] = (i - 3) / 3 end
  end
end
return {lost, stop}
