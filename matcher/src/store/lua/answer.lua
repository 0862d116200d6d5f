-- A player takes part in a match that asks, or does not.
-- ARGV: cool-down (ms), the longest (ms), player, match, 1 or 0
local first, most, player, match = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], ARGV[4]
local kind, name = place(player)
if kind ~= 't' or has_left(player) then
  return {'unknown'}
end
local found = redis.call('HMGET', P .. 't:' .. name, 'c', 'a')
if found[1] ~= match or not found[2] then
  return {'unknown'}
end
local has_accepted = redis.call('HEXISTS', P .. 'c:' .. match, 'y:' .. player) == 1
if ARGV[5] == '1' then
  if not has_accepted and NOW >= tonumber(found[2]) then
    return {'unknown'}
  end
  redis.call('HSET', P .. 'c:' .. match, 'y:' .. player, '1')
  return {'accepted'}
end
local silent, gone = unwilling(match)
if #silent == 0 and #gone == 0 then
  return {'unknown'} -- it is being made already
end
local pause = keep_out(player, first, most)
redis.call('HSET', P .. 'p:' .. player, 'left', '1')
give_back(match)
return {'declined', string.format('%d', pause)}
