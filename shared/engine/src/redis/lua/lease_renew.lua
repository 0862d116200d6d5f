-- Announces a node or renews its lease.
-- KEYS: ends (zset: node -> when its lease ends or ended, ms), records (hash: node -> record),
--       version (string: changes with the list)
-- ARGV: node, generation (20 digits), ttl ms, record, fence ms, most names, channel
-- A record is 20 digits of the generation and what the node says of itself. Time is the server's,
-- so that it does not matter whether the nodes' clocks agree.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local node, generation, ttl, record, fence = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[5])

local ends = tonumber(redis.call('ZSCORE', KEYS[1], node) or '')
local held = redis.call('HGET', KEYS[2], node)
if ends and held and ends + fence > now and string.sub(held, 1, 20) > generation then
  return {'fenced', string.sub(held, 1, 20)}
end
if not ends and redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[6]) then
  local forgotten = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now - fence, 'LIMIT', 0, 64)
  if #forgotten == 0 then
    return {'full'}
  end
  redis.call('ZREM', KEYS[1], unpack(forgotten))
  redis.call('HDEL', KEYS[2], unpack(forgotten))
end

local said = generation .. record
redis.call('ZADD', KEYS[1], now + ttl, node)
if held ~= said or not ends or ends <= now then
  redis.call('HSET', KEYS[2], node, said)
  redis.call('SET', KEYS[3], time[1] .. '.' .. time[2] .. '.' .. node)
  redis.call('PUBLISH', ARGV[7], node)
end
for _, key in ipairs(KEYS) do
  redis.call('PEXPIRE', key, ttl + fence)
end
return {'done'}
