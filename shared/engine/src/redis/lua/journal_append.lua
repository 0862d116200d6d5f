-- Appends entries.
-- KEYS: head, log (see journal_open.lua); ARGV: number of the first entry, the entries
local head = redis.call('HMGET', KEYS[1], 'first', 'by')
if not head[1] then
  return {'missing'}
end
if head[2] then
  return {'sealed'}
end
local last = tonumber(head[1]) + redis.call('LLEN', KEYS[2]) - 1
local known = last - tonumber(ARGV[1]) + 1
if known < 0 then
  return {'gap', string.format('%.0f', last)}
end
if known < #ARGV - 1 then
  redis.call('RPUSH', KEYS[2], unpack(ARGV, known + 2))
end
return {'done'}
