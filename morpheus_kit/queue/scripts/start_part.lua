-- part, job entry, pins: pins the group's templates and tells the tracker, lets the part enter the ring, ends the job.
local part = part_of(ARGV[1])
local key = part.group.key
call('XACK', GROUPS, SENDERS, ARGV[2])
call('XDEL', GROUPS, ARGV[2])
if not part.group.control then return 'gone' end
if call('HGET', key, part.state) ~= 'job' then return 'repeated' end
if call('HSETNX', key, 'pins', ARGV[3]) == 1 and ARGV[3] ~= '' then
  group_event(part.group, 'started', '', '', '', ARGV[3])
end
call('HSET', key, part.state, 'out')
enter_ring(part)
write_outcomes()
return 'started'
