-- Says again that a match runs.
-- ARGV: match, room, record (JSON), players, tickets, life time (ms)
local match, room, lifetime = ARGV[1], ARGV[2], ARGV[6]
if redis.call('EXISTS', P .. 'm:' .. match) == 1 then
  return {'stands'}
end
local ending = redis.call('GET', P .. 'ended:' .. room)
if ending then
  return {'ended', ending}
end
redis.call('DEL', P .. 'c:' .. match)
redis.call('ZREM', P .. 'claims', match)
for _, ticket in ipairs(split(ARGV[5])) do
  local found = redis.call('HMGET', P .. 't:' .. ticket, 'j', 'c')
  if found[1] and (not found[2] or found[2] == match) then
    seat(ticket, match, lifetime)
  end
end
keep_match(match, room, ARGV[3], ARGV[4], lifetime)
for _, player in ipairs(split(ARGV[4])) do
  if place_of(player)[1] == 'nothing' then
    forget(player)
    put_in_match(player, match, lifetime)
  end
end
return {'restored'}
