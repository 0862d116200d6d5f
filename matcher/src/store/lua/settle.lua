-- Matches that have their rooms stand, each if its claim still holds.
-- ARGV: of each match: name, room, record (JSON), players, tickets, life time (ms)
local stands = {}

local function settle(match, room, json, players, tickets, lifetime)
  local before = redis.call('HGET', P .. 'm:' .. match, 'room')
  if before then
    redis.call('PEXPIRE', P .. 'm:' .. match, lifetime) -- written again, and waited for
    return before == room and 1 or 0
  end
  if redis.call('HGET', P .. 'c:' .. match, 't') ~= tickets then
    return 0
  end
  if redis.call('EXISTS', P .. 'ended:' .. room) == 1 then
    return 0
  end
  for _, ticket in ipairs(unclaim(match)) do
    seat(ticket, match, lifetime)
  end
  keep_match(match, room, json, players, lifetime)
  return 1
end

for at = 1, #ARGV, 6 do
  stands[#stands + 1] = settle(ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4],
    ARGV[at + 5])
end
return stands
