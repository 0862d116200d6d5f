-- Takes a player out of the queue.
-- ARGV: player, the matcher that must have seen the player last or ''
local player, by = ARGV[1], ARGV[2]
if by ~= '' then
  local seen_by = redis.call('HGET', P .. 'p:' .. player, 'by')
  local seen_until = redis.call('ZSCORE', P .. 'seen', player)
  if seen_by and seen_by ~= by and seen_until and tonumber(seen_until) > NOW then
    return {'kept'}
  end
end
return remove(player)
