-- method, priority, consumer, records, items…: marked entries of lost owners become uncertain. 1 where it took effect.
local stream, consumer = stream_of(ARGV[1], ARGV[2]), ARGV[3]
local items = rows(5, {'entry', 'id', 'attempt', 'due', 'policy', 'element', 'event', 'given_up', 'ask'})
local marks, doubts = view(INFLIGHT, items), view(DOUBT, items)
records = ARGV[4]

local function recover(item)
  local mark = marks.get(item.id)
  if not mark or owner(stream, item.entry) ~= consumer then return 0 end
  local _, attempt, part_name = mark_fields(mark)
  if attempt ~= item.attempt then return 0 end
  local group, doubt = part_of(part_name).group, doubts.get(item.id)
  marks.clear(item.id)
  drop(item.entry)
  if doubt then
    move(group, 'sending', 'ended')
    if proven(doubt) then
      event(group, item.id, 'sent', proven(doubt))
    else
      event_given_up(group, item.id, attempt, item.given_up)
    end
    doubts.clear(item.id)
  else
    move(group, 'sending', 'uncertain')
    events[#events + 1] = item.event
    put_later(item.id, item.due, 'u', item.policy, part_name, item.element, item.ask)
  end
  return 1
end

local answers = {}
for i, item in ipairs(items) do answers[i] = recover(item) end
finish(stream)
return answers
