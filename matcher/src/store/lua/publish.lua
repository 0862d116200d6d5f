-- What every script ends with: who plays is not waited for any more, and what it did to queues goes
-- into their feeds, one entry each.
local reply = main()
for from = 1, #seated, 4000 do
  redis.call('ZREM', P .. 'seen', unpack(seated, from, math.min(from + 3999, #seated)))
end
for mode, changes in pairs(fed) do
  redis.call('XADD', P .. 'f:' .. mode, 'MAXLEN', '~', FEED_KEPT, '*', 'c',
    table.concat(changes, ' '))
end
return reply
