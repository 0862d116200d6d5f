-- The ledger has these seats. ARGV[5..]: player, number, player, number, ...
for index = 5, #ARGV, 2 do
  settle(ARGV[index], ARGV[index + 1])
end
return finish()
