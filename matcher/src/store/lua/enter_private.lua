-- Somebody comes to a private room, or opens one.
-- ARGV: matcher, grace (ms), limit, code, mode and most members to open it with or '' and 0, player,
-- member (JSON)
local code, mode, player = ARGV[4], ARGV[5], ARGV[7]
local key = P .. 'r:' .. code
local at = place_of(player)
if at[1] == 'private' and at[2] == code then
  return at -- asked twice
end
if at[1] ~= 'nothing' then
  return {'kept', unpack(at)}
end
local found = redis.call('HMGET', key, 'mode', 'most', 'o', 't', 'x:' .. player)
if (not found[1] and mode == '') or found[4] then
  return {'unknown'}
end
if found[5] then
  return {'sent_away'}
end
local members = split(found[3])
if found[1] and #members >= tonumber(found[2]) then
  return {'no_place'}
end
if is_full(1, ARGV[3]) then
  return {'full'}
end
if not found[1] then
  redis.call('HSET', key, 'mode', mode, 'most', ARGV[6])
end
members[#members + 1] = player
redis.call('HSET', key, 'o', table.concat(members, ' '), 'j:' .. player, ARGV[8])
put(player, 'r:' .. code, ARGV[1], tonumber(ARGV[2]))
return private_room(code)
