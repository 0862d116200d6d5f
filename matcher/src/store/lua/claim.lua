-- Claims tickets for matches: for each all or none.
-- ARGV: claimant, how long (ms), then of each match: its name, ? and how long its players are asked
-- (ms) if they are, ! and each player who need not be, and the names of its tickets
local ends_at, granted = NOW + tonumber(ARGV[2]), {}

local function claim(match, tickets, ask, willing)
  local text = table.concat(tickets, ' ')
  local before = redis.call('HGET', P .. 'c:' .. match, 't')
  if before then
    redis.call('ZADD', P .. 'claims', ends_at, match)
    return before == text -- asked twice
  end
  local seen, by_mode = {}, {}
  for _, ticket in ipairs(tickets) do
    local found = redis.call('HMGET', P .. 't:' .. ticket, 'mode', 'c')
    if seen[ticket] or not found[1] or found[2] then
      return false
    end
    local waiting = by_mode[found[1]] or {}
    seen[ticket], by_mode[found[1]] = true, waiting
    waiting[#waiting + 1] = ticket
  end
  for mode, waiting in pairs(by_mode) do
    redis.call('ZREM', P .. 'q:' .. mode, unpack(waiting))
    tell(mode, '-' .. table.concat(waiting, ' -'))
  end
  for _, ticket in ipairs(tickets) do
    redis.call('HSET', P .. 't:' .. ticket, 'c', match)
    if ask then
      redis.call('HSET', P .. 't:' .. ticket, 'a', NOW + ask)
    end
  end
  redis.call('HSET', P .. 'c:' .. match, 't', text, 'by', ARGV[1])
  if ask then
    redis.call('HSET', P .. 'c:' .. match, 'a', NOW + ask)
  end
  for _, player in ipairs(willing) do
    redis.call('HSET', P .. 'c:' .. match, 'y:' .. player, '1')
  end
  redis.call('ZADD', P .. 'claims', ends_at, match)
  return true
end

for index = 3, #ARGV do
  local words = split(ARGV[index])
  local match = table.remove(words, 1)
  local ask, willing = nil, {}
  if words[1] and string.sub(words[1], 1, 1) == '?' then
    ask = tonumber(string.sub(table.remove(words, 1), 2))
    while words[1] and string.sub(words[1], 1, 1) == '!' do
      willing[#willing + 1] = string.sub(table.remove(words, 1), 2)
    end
  end
  granted[#granted + 1] = claim(match, words, ask, willing) and 1 or 0
end
return granted
