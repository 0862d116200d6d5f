-- A match that has its room stands, if its claim still holds.
-- ARGV: match, room, record (JSON), players, tickets, life time (ms)
local match, room, lifetime = ARGV[1], ARGV[2], ARGV[6]
local before = redis.call('HGET', P .. 'm:' .. match, 'room')
if before then
  redis.call('PEXPIRE', P .. 'm:' .. match, lifetime) -- written again, and waited for
  return before == room and 1 or 0
end
if redis.call('HGET', P .. 'c:' .. match, 't') ~= ARGV[5] then
  return 0
end
if redis.call('EXISTS', P .. 'ended:' .. room) == 1 then
  return 0
end
for _, ticket in ipairs(unclaim(match)) do
  seat(ticket, match, lifetime)
end
keep_match(match, room, ARGV[3], ARGV[4], lifetime)
return 1
