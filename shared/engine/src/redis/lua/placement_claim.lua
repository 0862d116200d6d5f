-- Puts one placement in the place of another; gives whether it is there now.
-- KEYS: the room's placement; ARGV: from, to (each: 20 digits, a space, the owner)
local held = redis.call('GET', KEYS[1])
if held == ARGV[1] or held == ARGV[2] then
  -- Written again when it is there already, so that replicas are waited for again.
  redis.call('SET', KEYS[1], ARGV[2])
  return 1
end
return 0
