-- What a sealed journal has: number of the first entry, how many there are, and the rooms. The
-- rest is read in pieces: a sealed journal does not change.
-- KEYS: head, log, rooms (see journal_open.lua)
local head = redis.call('HMGET', KEYS[1], 'first', 'by')
if not head[1] then
  return {'missing'}
end
if not head[2] then
  return {'open'}
end
return {'sealed', head[1], redis.call('LLEN', KEYS[2]), redis.call('HKEYS', KEYS[3])}
