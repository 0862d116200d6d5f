-- Where players stand; {} for those who are where they are expected to be.
-- ARGV: the matcher that asks, grace (ms), then of each player: name, 1 if here, and maybe where the
-- player is expected: t:TICKET that waits, or m:MATCH
local by, grace, standings = ARGV[1], tonumber(ARGV[2]), {}
local AS_EXPECTED = {}

-- A place is kept for longer; not written anew for every look.
local function see(player, at, seen_by)
  local kind = string.sub(at or '', 1, 1)
  if kind ~= 't' and kind ~= 'g' and kind ~= 'r' then
    return
  end
  local seen_until = tonumber(redis.call('ZSCORE', P .. 'seen', player) or 0)
  if math.abs(NOW + grace - seen_until) > math.min(1000, grace / 10) then
    redis.call('ZADD', P .. 'seen', NOW + grace, player)
  end
  if seen_by ~= by then
    redis.call('HSET', P .. 'p:' .. player, 'by', by)
  end
end

local function stands(at)
  if string.sub(at, 1, 1) == 'm' then
    return redis.call('EXISTS', P .. at) == 1
  end
  local found = redis.call('HMGET', P .. at, 'mode', 'c')
  return found[1] and not found[2]
end

for index = 3, #ARGV do
  local player, is_here, expected = string.match(ARGV[index], '^(%S+) (%d) ?(%S*)$')
  local there = redis.call('HMGET', P .. 'p:' .. player, 'at', 'by', 'left')
  if is_here == '1' then
    see(player, there[1], there[2])
  end
  if there[3] then
    standings[#standings + 1] = {'nothing'}
  elseif there[1] and there[1] == expected and stands(expected) then
    standings[#standings + 1] = AS_EXPECTED
  else
    standings[#standings + 1] = there[1] and place_of(player) or {'nothing'}
  end
end
return standings
