-- Players give reservations back. ARGV[5..]: players
if not is_open then
  return {'cold'}
end
lapse()
local outcomes = {}
for index = 5, #ARGV do
  local player = ARGV[index]
  local state, seat = place_now(player)
  if state == 'r' then
    take_back(player, state, seat)
    outcomes[#outcomes + 1] = 'released'
  elseif state then
    outcomes[#outcomes + 1] = (state == 'w' and 'writing ' or 'confirmed ') .. seat
  else
    outcomes[#outcomes + 1] = 'nothing'
  end
end
return finish(outcomes)
