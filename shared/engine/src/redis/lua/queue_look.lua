-- What has become of results: 'held', 'done', or 'missing' for each.
-- KEYS: held, done (see queue_add.lua); ARGV: matches
local answers = {}
for i, match in ipairs(ARGV) do
  if redis.call('ZSCORE', KEYS[2], match) then
    answers[i] = 'done'
  elseif redis.call('HEXISTS', KEYS[1], match) == 1 then
    answers[i] = 'held'
  else
    answers[i] = 'missing'
  end
end
return answers
