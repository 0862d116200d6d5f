-- Puts results into the queue, unless they are there or have been dealt with: 'held', 'done', or
-- 'full' for each.
-- KEYS: queue (stream), held (hash: entry by match), done (sorted set: matches by ms)
-- ARGV: most entries, then match and result by turns
local answers = {}
for i = 2, #ARGV, 2 do
  local match = ARGV[i]
  if redis.call('ZSCORE', KEYS[3], match) then
    answers[#answers + 1] = 'done'
  elseif redis.call('HEXISTS', KEYS[2], match) == 1 then
    answers[#answers + 1] = 'held'
  elseif redis.call('XLEN', KEYS[1]) >= tonumber(ARGV[1]) then
    answers[#answers + 1] = 'full'
  else
    local id = redis.call('XADD', KEYS[1], '*', 'match', match, 'result', ARGV[i + 1])
    redis.call('HSET', KEYS[2], match, id)
    answers[#answers + 1] = 'held'
  end
end
return answers
