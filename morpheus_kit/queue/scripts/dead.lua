-- method, priority, consumer, entry, id, reason, event, records: ends a message that cannot be handled. 1 when held.
local stream, entry, id = stream_of(ARGV[1], ARGV[2]), ARGV[4], ARGV[5]
if owner(stream, entry) ~= ARGV[3] then return 0 end
local element, part_name = entry_fields(stream, entry)
local items = {{id = id}}
local marks, doubts = view(INFLIGHT, items), view(DOUBT, items)
local part, doubt = part_of(part_name), doubts.get(id)
records = ARGV[8]
move(part.group, marks.get(id) and 'sending' or 'waiting', 'ended')
if proven(doubt) then event(part.group, id, 'sent', proven(doubt)) else events[1] = ARGV[7] end
-- What may not be recorded is not kept here either.
if call('HEXISTS', part.group.key, 'shared_kept') == 1 then element = '' end
call('XADD', DEAD, '*', 'kind', 'message', 'reason', ARGV[6], 'id', id, 'part', part_name, 'element', element)
marks.clear(id)
doubts.clear(id)
drop(entry)
finish(stream)
return 1
