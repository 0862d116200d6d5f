-- Seats are about to be written. ARGV[5]: how long that takes at most (ms); then players
if not is_open then
  return {'cold'}
end
lapse()
local outcomes = {}
for index = 6, #ARGV do
  local player = ARGV[index]
  local state, seat = place_now(player)
  if state == 'c' then
    outcomes[#outcomes + 1] = 'confirmed ' .. seat
  elseif state then
    put(player, 'w', seat, NOW + tonumber(ARGV[5]))
    outcomes[#outcomes + 1] = 'writing ' .. seat
  else
    outcomes[#outcomes + 1] = 'lapsed'
  end
end
return finish(outcomes)
