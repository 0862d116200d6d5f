-- Gives back claims that ran out, and removes players whom nobody saw.
local claims = redis.call('ZRANGEBYSCORE', P .. 'claims', '-inf', NOW, 'LIMIT', 0, 100)
for _, match in ipairs(claims) do
  give_back(match)
end
local removed = 0
for _, player in ipairs(redis.call('ZRANGEBYSCORE', P .. 'seen', '-inf', NOW, 'LIMIT', 0, 200)) do
  local kind, name = place(player)
  if kind == 't' and redis.call('HEXISTS', P .. 't:' .. name, 'c') == 1 then
    -- Its match decides first.
    redis.call('ZADD', P .. 'seen', NOW + 1000, player)
  elseif kind == 't' or kind == 'g' or kind == 'r' then
    if remove(player)[1] == 'gone' then
      removed = removed + 1
    end
  else
    redis.call('ZREM', P .. 'seen', player)
  end
end
redis.call('ZREMRANGEBYSCORE', P .. 'cool', '-inf', NOW)
return {#claims, removed}
