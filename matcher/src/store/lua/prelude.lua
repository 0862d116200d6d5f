-- What every script of the ticket store begins with. KEYS[1] begins all of its keys, which share
-- one hash slot:
--   t:TICKET  hash: j (JSON), mode, rating, p (players), k (party code), c (match that claims it),
--             a (until when that asks its players, ms; means nothing without c), r (private room)
--   q:MODE    tickets that wait, by rating
--   p:PLAYER  hash: at (t:TICKET, g:CODE, r:CODE or m:MATCH), by (who saw the player last), left
--   seen      players who wait, by when their places end (ms)
--   c:MATCH   hash: t (tickets), by (claimant), a (as above), y:PLAYER (who has accepted)
--   claims    matches that claim, by when it ends (ms)
--   m:MATCH   hash: j (JSON), room, p (players); gone with its life time
--   k:CODE    hash: mode, size, t (ticket), o (members in order), w (version), a (attributes, JSON),
--             both only if there are any; of each member j:, r:, s:, v: (JSON, regions, since, rating)
--   r:CODE    hash, a private room: mode, most, o (members in order), t (match that begins); of each
--             member j:, y: (JSON, ready); of who was sent away x:
--   cool      players who declined a match, by until when they are kept out (ms)
--   refusals:PLAYER  how often in a row; for a while
--   gone:TICKET, ended:ROOM  for a while
--   f:MODE    stream, the queue's feed: in c, +TICKET (waits) and -TICKET (does not) in order
-- The script itself follows as the function main, and then publish.lua.
local P = KEYS[1]
local REMEMBERED_MS = 120000
local FEED_KEPT = 1024
local fed, seated = {}, {}

local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
local NOW = now_ms()

local function split(text)
  local words = {}
  for word in string.gmatch(text or '', '%S+') do
    words[#words + 1] = word
  end
  return words
end

local function forget(player)
  redis.call('DEL', P .. 'p:' .. player)
  redis.call('ZREM', P .. 'seen', player)
end

local function put(player, at, by, grace)
  local key = P .. 'p:' .. player
  if redis.call('HSET', key, 'at', at, 'by', by) < 2 then
    -- What is left of another place, and that it ends by itself.
    redis.call('HDEL', key, 'left')
    redis.call('PERSIST', key)
  end
  redis.call('ZADD', P .. 'seen', NOW + grace, player)
end

local function put_in_match(player, match, lifetime)
  local key = P .. 'p:' .. player
  redis.call('HSET', key, 'at', 'm:' .. match)
  redis.call('PEXPIRE', key, lifetime)
  seated[#seated + 1] = player
end

-- What kind of place a player has, and its name.
local function place(player)
  local at = redis.call('HGET', P .. 'p:' .. player, 'at')
  if not at then
    return nil
  end
  return string.sub(at, 1, 1), string.sub(at, 3)
end

local function has_left(player)
  return redis.call('HEXISTS', P .. 'p:' .. player, 'left') == 1
end

local function gathering(code, player)
  local key = P .. 'k:' .. code
  local found = redis.call('HMGET', key, 'mode', 'size', 'o', 'r:' .. player, 's:' .. player, 'w', 'a',
    'j:' .. player)
  if not found[1] or not found[4] then
    return nil
  end
  return {'gathering', code, found[1], found[2], tostring(#split(found[3])), found[4], found[5],
    found[6] or '', found[7] or '', found[8]}
end

local function private_room(code)
  local found = redis.call('HMGET', P .. 'r:' .. code, 'mode', 'most', 'o')
  if not found[1] then
    return nil
  end
  local room = {'private', code, found[1], found[2]}
  for _, player in ipairs(split(found[3])) do
    local one = redis.call('HMGET', P .. 'r:' .. code, 'j:' .. player, 'y:' .. player)
    room[#room + 1] = one[1]
    room[#room + 1] = one[2] or '0'
  end
  return room
end

local function leave_private(code, player)
  local key = P .. 'r:' .. code
  local others = {}
  for _, member in ipairs(split(redis.call('HGET', key, 'o'))) do
    if member ~= player then
      others[#others + 1] = member
    end
  end
  if #others == 0 then
    redis.call('DEL', key)
    return
  end
  redis.call('HSET', key, 'o', table.concat(others, ' '))
  redis.call('HDEL', key, 'j:' .. player, 'y:' .. player)
end

-- What all of a party have in common, if there is anything.
local function keep_traits(key, version, attributes)
  if version ~= '' then
    redis.call('HSET', key, 'w', version)
  end
  if attributes ~= '' then
    redis.call('HSET', key, 'a', attributes)
  end
end

-- Where a player is, even one who has left a ticket that is claimed.
local function place_of(player)
  local kind, name = place(player)
  if kind == 't' then
    local found = redis.call('HMGET', P .. 't:' .. name, 'j', 'c', 'a')
    if found[1] and found[2] and found[3] then
      return {'ticket', found[1], found[2], tostring(math.max(0, found[3] - NOW)),
        tostring(redis.call('HEXISTS', P .. 'c:' .. found[2], 'y:' .. player))}
    end
    if found[1] then
      return {'ticket', found[1], found[2] or ''}
    end
  elseif kind == 'g' then
    return gathering(name, player) or {'nothing'}
  elseif kind == 'r' then
    return private_room(name) or {'nothing'}
  elseif kind == 'm' then
    local json = redis.call('HGET', P .. 'm:' .. name, 'j')
    if json then
      return {'match', json}
    end
  end
  return {'nothing'}
end

local function tell(mode, change)
  local changes = fed[mode] or {}
  changes[#changes + 1] = change
  fed[mode] = changes
end

local function enqueue(ticket, mode, rating)
  redis.call('ZADD', P .. 'q:' .. mode, rating, ticket)
  tell(mode, '+' .. ticket)
end

local function dequeue(ticket, mode)
  if redis.call('ZREM', P .. 'q:' .. mode, ticket) == 1 then
    tell(mode, '-' .. ticket)
  end
end

local function bury(ticket)
  redis.call('DEL', P .. 't:' .. ticket)
  redis.call('SET', P .. 'gone:' .. ticket, '1', 'PX', REMEMBERED_MS)
end

-- A ticket that waits, or that is claimed, is gone.
local function drop_ticket(ticket)
  local found = redis.call('HMGET', P .. 't:' .. ticket, 'mode', 'c')
  if found[1] and not found[2] then
    dequeue(ticket, found[1])
  end
  bury(ticket)
end

local function keep_ticket(ticket, json, mode, rating, players, code)
  local key = P .. 't:' .. ticket
  redis.call('HSET', key, 'j', json, 'mode', mode, 'rating', rating, 'p', players)
  if code ~= '' then
    redis.call('HSET', key, 'k', code)
  end
  enqueue(ticket, mode, rating)
end

local function leave_party(code, player)
  local key = P .. 'k:' .. code
  local others = {}
  for _, member in ipairs(split(redis.call('HGET', key, 'o'))) do
    if member ~= player then
      others[#others + 1] = member
    end
  end
  if #others == 0 then
    redis.call('DEL', key)
    return
  end
  redis.call('HSET', key, 'o', table.concat(others, ' '))
  redis.call('HDEL', key, 'j:' .. player, 'r:' .. player, 's:' .. player, 'v:' .. player)
end

-- A party has lost its ticket: a member who stays waits for others again.
local function gather_again(code, player, ticket)
  local key = P .. 'k:' .. code
  if redis.call('HGET', key, 't') == ticket then
    redis.call('HDEL', key, 't')
  end
  local stays = redis.call('HEXISTS', key, 't') == 0
    and redis.call('HEXISTS', key, 'j:' .. player) == 1
  if stays then
    redis.call('HSET', P .. 'p:' .. player, 'at', 'g:' .. code)
  else
    forget(player)
  end
end

-- A ticket cannot stay without those in `leavers`, a set: it is gone, and the others of a party
-- gather again.
local function take_apart(ticket, leavers)
  local found = redis.call('HMGET', P .. 't:' .. ticket, 'p', 'k')
  drop_ticket(ticket)
  for _, player in ipairs(split(found[1])) do
    if found[2] and leavers[player] then
      leave_party(found[2], player)
      forget(player)
    elseif found[2] then
      gather_again(found[2], player, ticket)
    else
      forget(player)
    end
  end
end

local function remove(player)
  local kind, name = place(player)
  if kind == 'g' then
    leave_party(name, player)
    forget(player)
    return {'gone'}
  end
  if kind == 'r' then
    leave_private(name, player)
    forget(player)
    return {'gone'}
  end
  if kind ~= 't' then
    return {'unknown'}
  end
  local found = redis.call('HMGET', P .. 't:' .. name, 'j', 'c')
  if not found[1] then
    forget(player)
    return {'unknown'}
  end
  if found[2] then
    redis.call('HSET', P .. 'p:' .. player, 'left', '1')
    return {'claimed', found[2]}
  end
  take_apart(name, {[player] = true})
  return {'gone'}
end

-- Ends a claim. Gives the tickets that it held.
local function unclaim(match)
  local held = {}
  for _, ticket in ipairs(split(redis.call('HGET', P .. 'c:' .. match, 't'))) do
    if redis.call('HGET', P .. 't:' .. ticket, 'c') == match then
      held[#held + 1] = ticket
    end
  end
  redis.call('DEL', P .. 'c:' .. match)
  redis.call('ZREM', P .. 'claims', match)
  return held
end

-- The match of a private room does not come about: its members are in the room again.
local function return_private(ticket, code, leavers)
  local players = split(redis.call('HGET', P .. 't:' .. ticket, 'p'))
  drop_ticket(ticket)
  redis.call('HDEL', P .. 'r:' .. code, 't')
  for _, player in ipairs(players) do
    if leavers[player] then
      leave_private(code, player)
      if redis.call('HGET', P .. 'p:' .. player, 'at') == 't:' .. ticket then
        forget(player)
      end
    else
      redis.call('HSET', P .. 'p:' .. player, 'at', 'r:' .. code)
    end
  end
end

local function give_back(match)
  for _, ticket in ipairs(unclaim(match)) do
    local leavers = {}
    for _, player in ipairs(split(redis.call('HGET', P .. 't:' .. ticket, 'p'))) do
      local kind, name = place(player)
      if kind ~= 't' or name ~= ticket or has_left(player) then
        leavers[player] = true
      end
    end
    local private = redis.call('HGET', P .. 't:' .. ticket, 'r')
    if private then
      return_private(ticket, private, leavers)
    elseif next(leavers) then
      take_apart(ticket, leavers)
    else
      local found = redis.call('HMGET', P .. 't:' .. ticket, 'mode', 'rating')
      redis.call('HDEL', P .. 't:' .. ticket, 'c', 'a')
      enqueue(ticket, found[1], found[2])
    end
  end
end

-- A ticket goes up in a match, with those on it who have not left.
local function seat(ticket, match, lifetime)
  local found = redis.call('HMGET', P .. 't:' .. ticket, 'p', 'k', 'r', 'mode', 'c')
  if found[4] and not found[5] then
    dequeue(ticket, found[4])
  end
  bury(ticket)
  if found[3] and redis.call('HGET', P .. 'r:' .. found[3], 't') == match then
    redis.call('DEL', P .. 'r:' .. found[3])
  end
  if found[2] and redis.call('HGET', P .. 'k:' .. found[2], 't') == ticket then
    redis.call('DEL', P .. 'k:' .. found[2])
  end
  for _, player in ipairs(split(found[1])) do
    local there = redis.call('HMGET', P .. 'p:' .. player, 'at', 'left')
    if there[1] == 't:' .. ticket then
      if there[2] then
        forget(player)
      else
        put_in_match(player, match, lifetime)
      end
    end
  end
end

local function keep_match(match, room, json, players, lifetime)
  local key = P .. 'm:' .. match
  redis.call('HSET', key, 'j', json, 'room', room, 'p', players)
  redis.call('PEXPIRE', key, lifetime)
end

local function depart(player, match)
  if redis.call('HGET', P .. 'p:' .. player, 'at') == 'm:' .. match then
    redis.call('DEL', P .. 'p:' .. player)
  end
end

-- How much longer a player is kept out of queues (ms), if so. Almost nobody is at any time.
local any_cooling = nil
local function cooling(player)
  if any_cooling == nil then
    any_cooling = redis.call('EXISTS', P .. 'cool') == 1
  end
  if not any_cooling then
    return nil
  end
  local kept_until = redis.call('ZSCORE', P .. 'cool', player)
  if kept_until and tonumber(kept_until) > NOW then
    return {'cooling', string.format('%d', kept_until - NOW)}
  end
  return nil
end

-- A player has declined a match, and is kept out for a while, which is given (ms).
local function keep_out(player, first, most)
  local key = P .. 'refusals:' .. player
  local times = redis.call('INCR', key)
  local pause = math.min(first * 2 ^ math.min(times - 1, 30), most)
  redis.call('PEXPIRE', key, string.format('%d', pause + math.max(most, 1)))
  redis.call('ZADD', P .. 'cool', NOW + pause, player)
  return pause
end

-- Who on the tickets of a match has not accepted, and who has left instead.
local function unwilling(match)
  local silent, gone = {}, {}
  for _, ticket in ipairs(split(redis.call('HGET', P .. 'c:' .. match, 't'))) do
    for _, player in ipairs(split(redis.call('HGET', P .. 't:' .. ticket, 'p'))) do
      local there = redis.call('HMGET', P .. 'p:' .. player, 'at', 'left')
      if there[1] ~= 't:' .. ticket or there[2] then
        gone[#gone + 1] = player
      elseif redis.call('HEXISTS', P .. 'c:' .. match, 'y:' .. player) == 0 then
        silent[#silent + 1] = player
      end
    end
  end
  return silent, gone
end

-- Whether there is no room for so many more players.
local function is_full(newcomers, limit)
  return redis.call('ZCARD', P .. 'seen') + newcomers > tonumber(limit)
end
