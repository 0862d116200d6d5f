-- The last entry of a queue's feed. There is always one from here on.
-- ARGV: mode, a name for the entry that is made if there is none
local feed = P .. 'f:' .. ARGV[1]
local last = redis.call('XREVRANGE', feed, '+', '-', 'COUNT', 1)[1]
if last then
  return {last[1], last[2][2]}
end
return {redis.call('XADD', feed, '*', 'c', ARGV[2]), ARGV[2]}
