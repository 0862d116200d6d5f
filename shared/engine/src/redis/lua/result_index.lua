-- Notes a match among a player's last ones.
-- KEYS: the player's matches (zset: match -> when it ended, ms)
-- ARGV: match, when it ended, how many are kept
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -tonumber(ARGV[3]) - 1)
return 1
