-- Members come to parties, one after another.
-- ARGV: matcher, grace (ms), limit, then of each member: code, code (JSON), mode, size, player,
-- member (JSON), rating, regions (JSON), since, ticket, when its wait begins, version, attributes
-- (JSON); either of these '' if there is none
local by, grace, limit, gathered = ARGV[1], tonumber(ARGV[2]), ARGV[3], {}

local function gather(a)
  local code, mode, size, player = a[1], a[3], a[4], a[5]
  local key = P .. 'k:' .. code
  local at = place_of(player)
  if at[1] == 'gathering' and at[2] == code then
    return at -- asked twice
  end
  if at[1] ~= 'nothing' then
    local _, name = place(player)
    if name == a[10] then
      return {'complete', at[2]} -- likewise
    end
    return {'kept', unpack(at)}
  end
  local out = cooling(player)
  if out then
    return out
  end
  local found = redis.call('HMGET', key, 'mode', 'size', 't', 'o', 'w', 'a')
  local members = split(found[4])
  if found[1] then
    if found[1] ~= mode then
      return {'mismatch', 'mode'}
    elseif found[2] ~= size then
      return {'mismatch', 'size'}
    elseif (found[5] or '') ~= a[12] then
      return {'mismatch', 'version'}
    elseif (found[6] or '') ~= a[13] then
      return {'mismatch', 'attributes'}
    elseif found[3] or #members >= tonumber(size) then
      return {'mismatch', 'full'}
    end
  end
  if is_full(1, limit) then
    return {'full'}
  end
  members[#members + 1] = player
  local is_complete = #members == tonumber(size)

  -- The regions that all members measured, each with the worst latency among them.
  local common
  if is_complete then
    for _, member in ipairs(members) do
      local json = member == player and a[8] or redis.call('HGET', key, 'r:' .. member)
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
    'j:' .. player, a[6], 'r:' .. player, a[8], 's:' .. player, a[9],
    'v:' .. player, a[7])
  keep_traits(key, a[12], a[13])
  put(player, 'g:' .. code, by, grace)
  if not is_complete then
    return gathering(code, player)
  end

  local ticket, jsons, sum = a[10], {}, 0
  for _, member in ipairs(members) do
    jsons[#jsons + 1] = redis.call('HGET', key, 'j:' .. member)
    sum = sum + redis.call('HGET', key, 'v:' .. member)
    redis.call('HSET', key, 's:' .. member, a[11])
    redis.call('HSET', P .. 'p:' .. member, 'at', 't:' .. ticket)
  end
  redis.call('HSET', key, 't', ticket)
  -- Written by hand: numbers must keep their digits.
  local json = '{"v":1,"id":"' .. ticket .. '","mode":"' .. mode .. '","members":['
    .. table.concat(jsons, ',') .. '],"party":' .. a[2] .. ',"regions":'
    .. cjson.encode(common or {}) .. (a[12] ~= '' and ',"version":"' .. a[12] .. '"' or '')
    .. (a[13] ~= '' and ',"attributes":' .. a[13] or '') .. ',"enqueued_at":' .. a[11] .. '}'
  keep_ticket(ticket, json, mode, math.floor(sum / #members), table.concat(members, ' '), code)
  return {'complete', json}
end

for at = 4, #ARGV, 13 do
  gathered[#gathered + 1] = gather({unpack(ARGV, at, at + 12)})
end
return gathered
