-- Gives a consumer what others took and did nothing about for a while, then what is new: entry,
-- match and result of each, in one list. Before them: how many wait, and for how many ms the
-- oldest has.
-- KEYS: queue; ARGV: group, consumer, most entries, ms after which they are others' no more
redis.pcall('XGROUP', 'CREATE', KEYS[1], ARGV[1], '0', 'MKSTREAM')
local waiting = redis.call('XLEN', KEYS[1])
local answer = {tostring(waiting), '0'}
if waiting == 0 then
  return answer
end
local oldest = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1][1]
local now = redis.call('TIME')
local ms = now[1] * 1000 + math.floor(now[2] / 1000)
answer[2] = string.format('%.0f', math.max(0, ms - tonumber(string.match(oldest, '^%d+'))))
local function give(entries)
  for _, entry in ipairs(entries) do
    local fields = entry and entry[2]
    if fields then
      for _, value in ipairs({entry[1], fields[2], fields[4]}) do
        answer[#answer + 1] = value
      end
    end
  end
end
local claimed = redis.call('XAUTOCLAIM', KEYS[1], ARGV[1], ARGV[2], ARGV[4], '0-0', 'COUNT', ARGV[3])
give(claimed[2])
local left = tonumber(ARGV[3]) - #claimed[2]
if left > 0 then
  local read = redis.call('XREADGROUP', 'GROUP', ARGV[1], ARGV[2], 'COUNT', left, 'STREAMS', KEYS[1], '>')
  if read then
    give(read[1][2])
  end
end
return answer
