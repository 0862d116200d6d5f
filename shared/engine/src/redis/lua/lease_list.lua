-- The nodes whose leases run.
-- KEYS: ends, records, version (see lease_renew.lua); ARGV: the mark of the list that is known
-- Gives the mark of this list, the ms until the first lease ends (or -1), and, unless the mark is
-- the known one, the records.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local nodes = redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. now, '+inf')
local mark = (redis.call('GET', KEYS[3]) or '') .. '/' .. #nodes
local left = -1
if nodes[1] then
  left = tonumber(redis.call('ZSCORE', KEYS[1], nodes[1])) - now
end
if mark == ARGV[1] then
  return {mark, left}
end
local records = {}
for i, node in ipairs(nodes) do
  records[i] = redis.call('HGET', KEYS[2], node) or ''
end
return {mark, left, records}
