-- The ledger does not have these seats. ARGV[5..]: player, number, player, number, ...
for index = 5, #ARGV, 2 do
  local state, seat = place(ARGV[index])
  if state == 'w' and seat == ARGV[index + 1] then
    take_back(ARGV[index], state, seat)
  end
end
return finish()
