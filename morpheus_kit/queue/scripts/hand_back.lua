-- method, priority, consumer, {entry, id, part}…: unmarked entries return to the head of their parts; how many.
local stream, consumer = stream_of(ARGV[1], ARGV[2]), ARGV[3]
local items = rows(4, {'entry', 'id', 'part'})
local marks, count = view(INFLIGHT, items), 0
for _, item in ipairs(items) do
  if owner(stream, item.entry) == consumer and not marks.get(item.id) then
    put_back(part_of(item.part), (entry_fields(stream, item.entry)))
    drop(item.entry)
    count = count + 1
  end
end
finish(stream)
return count
