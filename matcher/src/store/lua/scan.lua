-- A part of the tickets that wait for a mode: the next cursor, then their JSON.
-- ARGV: mode, cursor, about how many
local found = redis.call('ZSCAN', P .. 'q:' .. ARGV[1], ARGV[2], 'COUNT', ARGV[3])
local page = {found[1]}
for index = 1, #found[2], 2 do
  local json = redis.call('HGET', P .. 't:' .. found[2][index], 'j')
  if json then
    page[#page + 1] = json
  end
end
return page
