-- Gives players seats. ARGV[5..7]: opens, closes (ms), how long a reservation lasts (ms); then players
if not is_open then
  return {'cold'}
end
lapse()
local opens, closes, hold = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local full, outcomes = nil, {}

-- Worked out once: nothing comes back while a script runs, but for what it frees itself.
local function when_full()
  if confirmed >= SEATS then
    return 'full'
  end
  local first = redis.call('ZRANGE', P .. 'ends', 0, 0, 'WITHSCORES')
  return 'full ' .. string.format('%.0f', first[2] and math.max(tonumber(first[2]) - NOW, 0) or 1000)
end

local function reserve(player)
  local state, seat = place_now(player)
  if state == 'r' then
    local ends_at = tonumber(redis.call('ZSCORE', P .. 'ends', player))
    return 'held ' .. seat .. ' ' .. string.format('%.0f', ends_at - NOW)
  elseif state then
    return (state == 'w' and 'writing ' or 'confirmed ') .. seat
  elseif NOW < opens then
    return 'early ' .. string.format('%.0f', opens - NOW)
  elseif NOW >= closes then
    return 'closed'
  elseif taken >= SEATS then
    full = full or when_full()
    return full
  end
  seat = lowest_free()
  put(player, 'r', seat, NOW + hold)
  return 'held ' .. seat .. ' ' .. hold
end

for index = 8, #ARGV do
  outcomes[#outcomes + 1] = reserve(ARGV[index])
end
return finish(outcomes)
