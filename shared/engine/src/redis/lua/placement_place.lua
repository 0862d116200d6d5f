-- Says who runs a room.
-- KEYS: the room's placement; ARGV: generation (20 digits), owner
local held = redis.call('GET', KEYS[1])
local placed = ARGV[1] .. ' ' .. ARGV[2]
if held then
  local generation = string.sub(held, 1, 20)
  if generation > ARGV[1] or (generation == ARGV[1] and held ~= placed) then
    return {'fenced', generation}
  end
end
redis.call('SET', KEYS[1], placed)
return {'done'}
