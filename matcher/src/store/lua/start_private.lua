-- The match of a private room begins, with bots, or nothing does.
-- ARGV: claimant, how long (ms), code, match, tickets of bots, then of each member's ticket: name,
-- JSON, mode, rating, player
local code, match, bots = ARGV[3], ARGV[4], split(ARGV[5])
local key = P .. 'r:' .. code
local found = redis.call('HMGET', key, 'o', 't')
if found[2] then
  return found[2] == match and 1 or 0 -- asked twice
end
local members = split(found[1])
if #members == 0 or #members * 5 ~= #ARGV - 5 then
  return 0
end
for index, player in ipairs(members) do
  if ARGV[5 + index * 5] ~= player then
    return 0
  end
  if index > 1 and redis.call('HEXISTS', key, 'y:' .. player) == 0 then
    return 0
  end
end
local modes = {}
for index, ticket in ipairs(bots) do
  local bot = redis.call('HMGET', P .. 't:' .. ticket, 'mode', 'c')
  if not bot[1] or bot[2] then
    return 0
  end
  modes[index] = bot[1]
end
local tickets = {}
for index, player in ipairs(members) do
  local at = 1 + index * 5
  local ticket = ARGV[at]
  tickets[index] = ticket
  redis.call('HSET', P .. 't:' .. ticket, 'j', ARGV[at + 1], 'mode', ARGV[at + 2], 'rating',
    ARGV[at + 3], 'p', player, 'r', code, 'c', match)
  redis.call('HSET', P .. 'p:' .. player, 'at', 't:' .. ticket)
end
for index, ticket in ipairs(bots) do
  dequeue(ticket, modes[index])
  redis.call('HSET', P .. 't:' .. ticket, 'c', match)
  tickets[#tickets + 1] = ticket
end
redis.call('HSET', key, 't', match)
redis.call('HSET', P .. 'c:' .. match, 't', table.concat(tickets, ' '), 'by', ARGV[1])
redis.call('ZADD', P .. 'claims', NOW + tonumber(ARGV[2]), match)
return 1
