-- Replaces checkpoints, and lets go of the entries that nothing needs any more.
-- KEYS: head, log, rooms (see journal_open.lua)
-- ARGV: call, last entry that the owner knows to be there, first entry to keep, the lineage that
--       the owner knows, last entry that was ever confirmed to it, ms that the journal is kept,
--       the newest call that the owner knows to be there, how many rooms, each of them and its checkpoint, and the rooms that are gone
-- Gives the lineage with the outcome.
local lineage = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
local head = redis.call('HMGET', KEYS[1], 'first', 'by', 'call')
if not head[1] then
  return {'missing', lineage}
end
if head[2] then
  return {'sealed', lineage}
end
local first = tonumber(head[1])
local last = first + redis.call('LLEN', KEYS[2]) - 1
if last < tonumber(ARGV[2]) then
  return {'gap', lineage, string.format('%.0f', last)}
end
if tonumber(head[3]) < tonumber(ARGV[7]) then
  return {'gap', lineage, string.format('%.0f', last)}
end
if tonumber(ARGV[1]) <= tonumber(head[3]) then
  return {'done', lineage}
end
redis.call('HSET', KEYS[1], 'call', ARGV[1])

-- Only an owner who has seen this lineage before it made the call can say that all that was ever
-- confirmed is here: otherwise the confirmation of a later entry may have been on its way.
if ARGV[4] == lineage and last >= tonumber(ARGV[5]) then
  redis.call('HSET', KEYS[1], 'lineage', lineage)
end
local next = 9
for _ = 1, tonumber(ARGV[8]) do
  redis.call('HSET', KEYS[3], ARGV[next], ARGV[next + 1])
  next = next + 2
end
for index = next, #ARGV do
  redis.call('HDEL', KEYS[3], ARGV[index])
end

local keep = math.min(tonumber(ARGV[3]), last + 1)
if keep > first then
  redis.call('LTRIM', KEYS[2], keep - first, -1)
  redis.call('HSET', KEYS[1], 'first', string.format('%.0f', keep))
end
for _, key in ipairs(KEYS) do
  redis.call('PEXPIRE', key, ARGV[6])
end
return {'done', lineage}
