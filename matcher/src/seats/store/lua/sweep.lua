-- Frees what has lapsed and names what is in doubt. ARGV[5..6]: a version that somebody has seen, how
-- many in doubt are wanted at most
if not is_open then
  return {'cold'}
end
local lapsed = lapse()
if version < tonumber(ARGV[5]) then
  version, changed = tonumber(ARGV[5]), true
end
local outcomes = {tostring(lapsed)}
local doubts = redis.call('ZRANGEBYSCORE', P .. 'doubts', '-inf', NOW, 'LIMIT', 0, ARGV[6])
for _, player in ipairs(doubts) do
  local _, seat = place(player)
  outcomes[#outcomes + 1] = player .. ' ' .. seat
end
return finish(outcomes)
