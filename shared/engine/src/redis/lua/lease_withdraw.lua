-- Ends a lease before its time.
-- KEYS: ends, records, version (see lease_renew.lua); ARGV: node, generation (20 digits), channel
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local node = ARGV[1]

local ends = tonumber(redis.call('ZSCORE', KEYS[1], node) or '')
local held = redis.call('HGET', KEYS[2], node)
if not ends or not held then
  return {'done'}
end
if string.sub(held, 1, 20) > ARGV[2] then
  return {'fenced', string.sub(held, 1, 20)}
end
if ends > now then
  redis.call('ZADD', KEYS[1], now, node)
  redis.call('SET', KEYS[3], time[1] .. '.' .. time[2] .. '.' .. node)
  redis.call('PUBLISH', ARGV[3], node)
end
return {'done'}
