-- A player leaves a match for good.
-- ARGV: player, match
depart(ARGV[1], ARGV[2])
return 'done'
