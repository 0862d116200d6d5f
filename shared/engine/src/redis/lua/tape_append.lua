-- Adds a segment to a tape, unless it reaches as far already.
-- KEYS: the tape (stream, whose ids are ticks); ARGV: the segment's last tick, its bytes, ms kept
-- A stream takes only ids that are greater than all it ever had.
local added = redis.pcall('XADD', KEYS[1], ARGV[1] .. '-1', 'b', ARGV[2])
if type(added) == 'table' and added.err and not string.find(added.err, 'equal or smaller', 1, true) then
  return added
end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
