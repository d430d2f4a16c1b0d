-- provider, id, next: it was asked in vain, and is asked again at `next`; 0: no more.
local asks = asks_of(ARGV[1])
if tonumber(ARGV[3]) > 0 then call('ZADD', asks, 'XX', ARGV[3], ARGV[2]) else call('ZREM', asks, ARGV[2]) end
return 1
