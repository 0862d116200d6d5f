-- Takes out of the queue what the database has, and remembers for a while that it has it.
-- KEYS: queue, held, done (see queue_add.lua)
-- ARGV: group, ms that it is remembered, then entry and match by turns
local now = redis.call('TIME')
local ms = now[1] * 1000 + math.floor(now[2] / 1000)
for i = 3, #ARGV, 2 do
  redis.call('XACK', KEYS[1], ARGV[1], ARGV[i])
  redis.call('XDEL', KEYS[1], ARGV[i])
  redis.call('HDEL', KEYS[2], ARGV[i + 1])
  redis.call('ZADD', KEYS[3], ms, ARGV[i + 1])
end
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', ms - tonumber(ARGV[2]))
return 1
