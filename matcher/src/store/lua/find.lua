-- The JSON of those of the tickets that wait.
-- ARGV: tickets
local jsons = {}
for _, ticket in ipairs(ARGV) do
  local found = redis.call('HMGET', P .. 't:' .. ticket, 'j', 'c')
  if found[1] and not found[2] then
    jsons[#jsons + 1] = found[1]
  end
end
return jsons
