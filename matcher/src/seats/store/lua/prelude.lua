-- What every script of an event's seats begins with.
-- KEYS[1] begins all keys of the event, which share one hash slot:
--   head    hash: v (version), c (confirmed), n (the highest number ever in use), open
--   p       hash: player -> state and number; r: reserved, w: being written, c: confirmed
--   b       hash: number -> player
--   ends    zset: player -> when the reservation ends (ms)
--   doubts  zset: player -> when it is in doubt whether the seat was written (ms)
--   free    zset: numbers up to n that nobody has
--   part:TOKEN  parts of a rebuild that are in
-- ARGV[1..4]: seats, when the keys go (ms), channel of news, the event's name
-- The rules are those of seats::book.
local P, SEATS, CHANNEL, NAME = KEYS[1], tonumber(ARGV[1]), ARGV[3], ARGV[4]
-- Lapsed reservations that one call frees at most, so that it is short. Those of players whom it is
-- about are freed in any case.
local LAPSES = 200

local time = redis.call('TIME')
local MICROS = time[1] * 1000000 + time[2]
local NOW = math.floor(MICROS / 1000)
-- Not before a day has gone by in which nothing changed.
local EXPIRES = string.format('%.0f', math.max(tonumber(ARGV[2]), NOW + 86400000))

local head = redis.call('HMGET', P .. 'head', 'v', 'c', 'n', 'open')
local version, confirmed, highest = tonumber(head[1] or '0'), tonumber(head[2] or '0'), tonumber(head[3] or '0')
local is_open = head[4] == '1'
local taken = redis.call('HLEN', P .. 'p')
local changed = false

local function place(player)
  local found = redis.call('HGET', P .. 'p', player)
  if found then
    return string.sub(found, 1, 1), string.sub(found, 2)
  end
end

local function take_back(player, state, seat)
  redis.call('HDEL', P .. 'p', player)
  redis.call('HDEL', P .. 'b', seat)
  redis.call('ZADD', P .. 'free', seat, seat)
  if state == 'r' then
    redis.call('ZREM', P .. 'ends', player)
  elseif state == 'w' then
    redis.call('ZREM', P .. 'doubts', player)
  else
    confirmed = confirmed - 1
  end
  taken, changed = taken - 1, true
end

local function put(player, state, seat, ends_at)
  local before, other = place(player)
  if before then
    take_back(player, before, other)
  end
  local number = tonumber(seat)
  while highest < number do
    highest = highest + 1
    redis.call('ZADD', P .. 'free', highest, highest)
  end
  redis.call('ZREM', P .. 'free', seat)
  redis.call('HSET', P .. 'p', player, state .. seat)
  redis.call('HSET', P .. 'b', seat, player)
  if state == 'r' then
    redis.call('ZADD', P .. 'ends', ends_at, player)
  elseif state == 'w' then
    redis.call('ZADD', P .. 'doubts', ends_at, player)
  else
    confirmed = confirmed + 1
  end
  taken, changed = taken + 1, true
end

local function lowest_free()
  local returned = redis.call('ZRANGE', P .. 'free', 0, 0)[1]
  return returned or string.format('%.0f', highest + 1)
end

local function lapse()
  local ended = redis.call('ZRANGEBYSCORE', P .. 'ends', '-inf', NOW, 'LIMIT', 0, LAPSES)
  for _, player in ipairs(ended) do
    take_back(player, place(player))
  end
  return #ended
end

-- Where a player is, if the reservation has not ended.
local function place_now(player)
  local state, seat = place(player)
  if state == 'r' and tonumber(redis.call('ZSCORE', P .. 'ends', player)) <= NOW then
    take_back(player, state, seat)
    return nil
  end
  return state, seat
end

local function settle(player, seat)
  local state, number = place(player)
  if state == 'c' and number == seat then
    return
  end
  local other = redis.call('HGET', P .. 'b', seat)
  if other and other ~= player then
    take_back(other, place(other))
  end
  put(player, 'c', seat)
end

-- Keeps what was changed, says so, and gives how the event stands, followed by the outcomes.
local function finish(outcomes)
  if changed then
    version = math.max(version + 1, MICROS)
    redis.call('HSET', P .. 'head', 'v', string.format('%.0f', version), 'c', confirmed, 'n', highest)
    for _, key in ipairs({'head', 'p', 'b', 'ends', 'doubts', 'free'}) do
      redis.call('PEXPIREAT', P .. key, EXPIRES)
    end
  end
  local counts = {string.format('%.0f', version), tostring(SEATS), tostring(taken - confirmed), tostring(confirmed)}
  if changed and is_open then
    redis.call('PUBLISH', CHANNEL, NAME .. ' ' .. table.concat(counts, ' '))
  end
  local reply = {'known', unpack(counts)}
  for _, outcome in ipairs(outcomes or {}) do
    reply[#reply + 1] = outcome
  end
  return reply
end
