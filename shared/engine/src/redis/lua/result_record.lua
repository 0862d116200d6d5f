-- Stores a result, unless there is one of its match; gives the one that is there, and whether it
-- was there before.
-- KEYS: the match's result; ARGV: the result
local held = redis.call('GET', KEYS[1])
-- Written again when it is there already, so that replicas are waited for again.
redis.call('SET', KEYS[1], held or ARGV[1])
return {held or ARGV[1], held and 1 or 0}
