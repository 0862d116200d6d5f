-- Keeps claims.
-- ARGV: how long (ms), then matches
for index = 2, #ARGV do
  redis.call('ZADD', P .. 'claims', 'XX', NOW + tonumber(ARGV[1]), ARGV[index])
end
return 'done'
