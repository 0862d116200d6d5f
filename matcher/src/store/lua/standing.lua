-- Where players stand.
-- ARGV: the matcher that asks, grace (ms), then of each player: name, 1 if here
local by, grace, standings = ARGV[1], tonumber(ARGV[2]), {}

-- A place is kept for longer; not written anew for every look.
local function see(player)
  local kind = place(player)
  if kind ~= 't' and kind ~= 'g' and kind ~= 'r' then
    return
  end
  local seen_until = tonumber(redis.call('ZSCORE', P .. 'seen', player) or 0)
  if math.abs(NOW + grace - seen_until) > math.min(1000, grace / 10) then
    redis.call('ZADD', P .. 'seen', NOW + grace, player)
  end
  if redis.call('HGET', P .. 'p:' .. player, 'by') ~= by then
    redis.call('HSET', P .. 'p:' .. player, 'by', by)
  end
end

for index = 3, #ARGV do
  local words = split(ARGV[index])
  local player = words[1]
  if words[2] == '1' then
    see(player)
  end
  standings[#standings + 1] = has_left(player) and {'nothing'} or place_of(player)
end
return standings
