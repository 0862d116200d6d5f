-- Claims tickets for matches: for each all or none.
-- ARGV: claimant, how long (ms), then of each match: its name and those of its tickets
local ends_at, granted = NOW + tonumber(ARGV[2]), {}

local function claim(match, tickets)
  local text = table.concat(tickets, ' ')
  local before = redis.call('HGET', P .. 'c:' .. match, 't')
  if before then
    redis.call('ZADD', P .. 'claims', ends_at, match)
    return before == text -- asked twice
  end
  local seen, modes = {}, {}
  for index, ticket in ipairs(tickets) do
    local found = redis.call('HMGET', P .. 't:' .. ticket, 'mode', 'c')
    if seen[ticket] or not found[1] or found[2] then
      return false
    end
    seen[ticket], modes[index] = true, found[1]
  end
  for index, ticket in ipairs(tickets) do
    dequeue(ticket, modes[index])
    redis.call('HSET', P .. 't:' .. ticket, 'c', match)
  end
  redis.call('HSET', P .. 'c:' .. match, 't', text, 'by', ARGV[1])
  redis.call('ZADD', P .. 'claims', ends_at, match)
  return true
end

for index = 3, #ARGV do
  local words = split(ARGV[index])
  local match = table.remove(words, 1)
  granted[#granted + 1] = claim(match, words) and 1 or 0
end
return granted
