-- part, job entry, reason code, reason text: the part enters the ring to end there, message by message.
local part = part_of(ARGV[1])
local key = part.group.key
call('XACK', GROUPS, SENDERS, ARGV[2])
call('XDEL', GROUPS, ARGV[2])
if not part.group.control then return 'gone' end
if call('HGET', key, part.state) ~= 'job' then return 'repeated' end
call('HSET', key, part.ending, cmsgpack.pack({ARGV[3], ARGV[4]}), part.state, 'out')
enter_ring(part)
return 'started'
