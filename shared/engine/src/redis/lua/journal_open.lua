-- Makes sure that a journal is there.
-- KEYS: head (hash), log (list of entries), rooms (hash: room -> checkpoint)
-- ARGV: everything up to this number is behind it; ms that it is kept
-- The head has: first (number of the log's first entry), call (the newest checkpoint call),
-- lineage (of the primary that had all that was confirmed), by (who sealed it), suspect.
-- The last entry's number is first + length of the log - 1.
local lineage = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
local head = redis.call('HMGET', KEYS[1], 'first', 'by')
if head[2] then
  return {'sealed', lineage}
end
local after = tonumber(ARGV[1])
if not head[1] or tonumber(head[1]) + redis.call('LLEN', KEYS[2]) - 1 < after then
  -- No lineage: whether this is all that was ever confirmed is for a checkpoint to say.
  redis.call('DEL', unpack(KEYS))
  redis.call('HSET', KEYS[1], 'first', string.format('%.0f', after + 1), 'call', '0')
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return {'done', lineage}
