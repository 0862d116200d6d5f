-- A member of a private room is ready, or not any more, or its leader sends another one away.
-- ARGV: player, what, of whom
local player, what, of = ARGV[1], ARGV[2], ARGV[3]
local kind, code = place(player)
local key = P .. 'r:' .. (code or '')
if kind ~= 'r' or redis.call('EXISTS', key) == 0 then
  return {'not_there'}
end
if what == 'ready' then
  redis.call('HSET', key, 'y:' .. player, '1')
elseif what == 'unready' then
  redis.call('HDEL', key, 'y:' .. player)
else
  if split(redis.call('HGET', key, 'o'))[1] ~= player then
    return {'not_leader'}
  end
  if of ~= player and redis.call('HEXISTS', key, 'j:' .. of) == 1 then
    leave_private(code, of)
    redis.call('HSET', key, 'x:' .. of, '1')
    forget(of)
  end
end
return private_room(code)
