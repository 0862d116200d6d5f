-- Says that a room is over.
-- KEYS: the room's placement; ARGV: generation (20 digits)
local held = redis.call('GET', KEYS[1])
if held then
  if string.sub(held, 1, 20) > ARGV[1] then
    return {'fenced', string.sub(held, 1, 20)}
  end
  redis.call('DEL', KEYS[1])
end
return {'done'}
