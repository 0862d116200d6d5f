-- How the questions of matches stand. Those that are off are ended.
-- ARGV: cool-down (ms), the longest (ms), then matches
local first, most, stands = tonumber(ARGV[1]), tonumber(ARGV[2]), {}

local function acceptance(match)
  local open_until = redis.call('HGET', P .. 'c:' .. match, 'a')
  if not open_until then
    return 'off'
  end
  local silent, gone = unwilling(match)
  if #silent == 0 and #gone == 0 then
    return 'complete'
  end
  if #gone == 0 and NOW < tonumber(open_until) then
    return 'open'
  end
  for _, player in ipairs(gone) do
    keep_out(player, first, most)
  end
  if NOW >= tonumber(open_until) then
    for _, player in ipairs(silent) do
      keep_out(player, first, most)
      redis.call('HSET', P .. 'p:' .. player, 'left', '1')
    end
  end
  give_back(match)
  return 'off'
end

for index = 3, #ARGV do
  stands[#stands + 1] = acceptance(ARGV[index])
end
return stands
