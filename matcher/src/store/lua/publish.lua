-- What every script ends with: what it did to queues goes into their feeds, one entry each.
local reply = main()
for mode, changes in pairs(fed) do
  redis.call('XADD', P .. 'f:' .. mode, 'MAXLEN', '~', FEED_KEPT, '*', 'c',
    table.concat(changes, ' '))
end
return reply
