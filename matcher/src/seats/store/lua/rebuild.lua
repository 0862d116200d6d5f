-- Takes a part of what the ledger has. ARGV[5..7]: the rebuild's token, the part's number from 0, 1
-- if it is the last; then player, number, ...
-- Parts of a rebuild that is given up are remembered for a minute.
local key = P .. 'part:' .. ARGV[5]
local index = tonumber(ARGV[6])
if index > tonumber(redis.call('GET', key) or '0') then
  return {'again'}
end
for at = 8, #ARGV, 2 do
  settle(ARGV[at], ARGV[at + 1])
end
redis.call('SET', key, index + 1, 'PX', 60000)
if ARGV[7] == '1' then
  redis.call('HSET', P .. 'head', 'open', '1')
  changed, is_open = true, true
end
finish()
return {'done'}
