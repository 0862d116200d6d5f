-- The tickets that wait for a mode.
-- ARGV: mode
local queue, jsons = P .. 'q:' .. ARGV[1], {}
for _, ticket in ipairs(redis.call('ZRANGE', queue, 0, -1)) do
  local json = redis.call('HGET', P .. 't:' .. ticket, 'j')
  if json then
    jsons[#jsons + 1] = json
  end
end
return jsons
