-- A match's tickets wait again.
-- ARGV: match
give_back(ARGV[1])
return 'done'
