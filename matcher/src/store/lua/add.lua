-- Lets a ticket wait.
-- ARGV: ticket, its JSON, mode, rating, players, party code or '', matcher, grace (ms), limit,
-- regions (JSON), since, then of each member: JSON, rating
local ticket, players, code = ARGV[1], split(ARGV[5]), ARGV[6]
for _, player in ipairs(players) do
  local at = place_of(player)
  if at[1] ~= 'nothing' then
    return at
  end
end
if redis.call('EXISTS', P .. 'gone:' .. ticket) == 1 then
  return {'gone'}
end
if is_full(#players, ARGV[9]) then
  return {'full'}
end
for _, player in ipairs(players) do
  put(player, 't:' .. ticket, ARGV[7], tonumber(ARGV[8]))
end
local party = P .. 'k:' .. code
if code ~= '' and redis.call('EXISTS', party) == 0 then
  redis.call('HSET', party, 'mode', ARGV[3], 'size', #players, 't', ticket, 'o', ARGV[5])
  for index, player in ipairs(players) do
    redis.call('HSET', party, 'j:' .. player, ARGV[10 + index * 2], 'r:' .. player, ARGV[10],
      's:' .. player, ARGV[11], 'v:' .. player, ARGV[11 + index * 2])
  end
end
keep_ticket(ticket, ARGV[2], ARGV[3], ARGV[4], ARGV[5], code)
return {'waiting'}
