-- Matches are over.
-- ARGV: of each match: its name, that of its room, why
for _, ended in ipairs(ARGV) do
  local words = split(ended)
  local match, room, ending = words[1], words[2], words[3]
  redis.call('SET', P .. 'ended:' .. room, ending, 'NX', 'PX', REMEMBERED_MS)
  local found = redis.call('HMGET', P .. 'm:' .. match, 'room', 'p')
  if found[1] == room then
    redis.call('DEL', P .. 'm:' .. match)
    for _, player in ipairs(split(found[2])) do
      depart(player, match)
    end
  end
end
return 'done'
