-- Lets tickets wait. Each is added or not by itself.
-- ARGV: matcher, grace (ms), limit, then of each ticket: name, JSON, mode, rating, players, party
-- code or '', how many arguments follow for it; of a party: regions (JSON), since, version, attributes
-- (JSON), either '' if there is none, then of each member: JSON, rating
local by, grace, added = ARGV[1], tonumber(ARGV[2]), {}
local free = tonumber(ARGV[3]) - redis.call('ZCARD', P .. 'seen')

local function found_party(code, ticket, mode, players, text, at)
  local party = P .. 'k:' .. code
  if redis.call('EXISTS', party) == 1 then
    return
  end
  redis.call('HSET', party, 'mode', mode, 'size', #players, 't', ticket, 'o', text)
  keep_traits(party, ARGV[at + 2], ARGV[at + 3])
  for index, player in ipairs(players) do
    redis.call('HSET', party, 'j:' .. player, ARGV[at + 2 + index * 2], 'r:' .. player, ARGV[at],
      's:' .. player, ARGV[at + 1], 'v:' .. player, ARGV[at + 3 + index * 2])
  end
end

local function add(at)
  local ticket, mode, code = ARGV[at], ARGV[at + 2], ARGV[at + 5]
  local players = split(ARGV[at + 4])
  for _, player in ipairs(players) do
    local standing = place_of(player)
    if standing[1] ~= 'nothing' then
      return standing
    end
    local out = cooling(player)
    if out then
      return out
    end
  end
  if redis.call('EXISTS', P .. 'gone:' .. ticket) == 1 then
    return {'gone'}
  end
  if #players > free then
    return {'full'}
  end
  free = free - #players
  for _, player in ipairs(players) do
    put(player, 't:' .. ticket, by, grace)
  end
  if code ~= '' then
    found_party(code, ticket, mode, players, ARGV[at + 4], at + 7)
  end
  keep_ticket(ticket, ARGV[at + 1], mode, ARGV[at + 3], ARGV[at + 4], code)
  return {'waiting'}
end

local at = 4
while at <= #ARGV do
  added[#added + 1] = add(at)
  at = at + 7 + tonumber(ARGV[at + 6])
end
return added
