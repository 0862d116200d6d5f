-- Seals a journal: nothing in it changes from now on.
-- KEYS: head, log, rooms (see journal_open.lua); ARGV: who seals it, ms that it is kept
-- Gives who sealed it first, the last entry, and whether entries may be lost.
local head = redis.call('HMGET', KEYS[1], 'first', 'by', 'lineage', 'suspect')
if not head[1] then
  return {}
end
local by, suspect = head[2], head[4]
if not by then
  local lineage = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
  by = ARGV[1]
  suspect = head[3] == lineage and '0' or '1'
end
-- Written again when it is sealed already, so that replicas are waited for again.
redis.call('HSET', KEYS[1], 'by', by, 'suspect', suspect)
for _, key in ipairs(KEYS) do
  redis.call('PEXPIRE', key, ARGV[2])
end
local last = tonumber(head[1]) + redis.call('LLEN', KEYS[2]) - 1
return {by, string.format('%.0f', last), suspect}
