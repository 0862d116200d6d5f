-- A member comes to a party.
-- ARGV: code, code (JSON), mode, size, player, member (JSON), rating, regions (JSON), since,
-- ticket, when its wait begins, matcher, grace (ms), limit
local code, mode, size, player = ARGV[1], ARGV[3], ARGV[4], ARGV[5]
local key = P .. 'k:' .. code
local at = place_of(player)
if at[1] == 'gathering' and at[2] == code then
  return at -- asked twice
end
if at[1] ~= 'nothing' then
  local _, name = place(player)
  if name == ARGV[10] then
    return {'complete', at[2]} -- likewise
  end
  return {'kept', unpack(at)}
end
local found = redis.call('HMGET', key, 'mode', 'size', 't', 'o')
local members = split(found[4])
if found[1] then
  if found[1] ~= mode then
    return {'mismatch', 'mode'}
  elseif found[2] ~= size then
    return {'mismatch', 'size'}
  elseif found[3] or #members >= tonumber(size) then
    return {'mismatch', 'full'}
  end
end
if is_full(1, ARGV[14]) then
  return {'full'}
end
members[#members + 1] = player
local is_complete = #members == tonumber(size)

-- The regions that all members measured, each with the worst latency among them.
local common
if is_complete then
  for _, member in ipairs(members) do
    local json = member == player and ARGV[8] or redis.call('HGET', key, 'r:' .. member)
    local regions = cjson.decode(json)
    if next(regions) and not common then
      common = regions
    elseif next(regions) then
      local both = {}
      for region, worst in pairs(common) do
        if regions[region] then
          both[region] = math.max(worst, regions[region])
        end
      end
      common = both
    end
  end
  if common and not next(common) then
    return {'mismatch', 'regions'}
  end
end

redis.call('HSET', key, 'mode', mode, 'size', size, 'o', table.concat(members, ' '),
  'j:' .. player, ARGV[6], 'r:' .. player, ARGV[8], 's:' .. player, ARGV[9],
  'v:' .. player, ARGV[7])
put(player, 'g:' .. code, ARGV[12], tonumber(ARGV[13]))
if not is_complete then
  return gathering(code, player)
end

local ticket, jsons, sum = ARGV[10], {}, 0
for _, member in ipairs(members) do
  jsons[#jsons + 1] = redis.call('HGET', key, 'j:' .. member)
  sum = sum + redis.call('HGET', key, 'v:' .. member)
  redis.call('HSET', key, 's:' .. member, ARGV[11])
  redis.call('HSET', P .. 'p:' .. member, 'at', 't:' .. ticket)
end
redis.call('HSET', key, 't', ticket)
-- Written by hand: numbers must keep their digits.
local json = '{"v":1,"id":"' .. ticket .. '","mode":"' .. mode .. '","members":['
  .. table.concat(jsons, ',') .. '],"party":' .. ARGV[2] .. ',"regions":'
  .. cjson.encode(common or {}) .. ',"enqueued_at":' .. ARGV[11] .. '}'
keep_ticket(ticket, json, mode, math.floor(sum / #members), table.concat(members, ' '), code)
return {'complete', json}
