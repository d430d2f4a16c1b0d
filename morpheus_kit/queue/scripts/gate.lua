-- method, priority, consumer, {entry, id, attempt, part}…: the only way to a provider. For each `go`, `lost`,
-- `done` (ended here) or `back` (returned to its part). Repeated it answers the same `go`s.
local stream, consumer = stream_of(ARGV[1], ARGV[2]), ARGV[3]
local items = rows(4, {'entry', 'id', 'attempt', 'part'})
local marks, doubts = view(INFLIGHT, items), view(DOUBT, items)

local function finish_here(item, part, kind, code, text)
  local element = entry_fields(stream, item.entry)
  end_message(part, item.id, 'waiting', doubts.get(item.id), item.attempt, kind, code, text, element)
  doubts.clear(item.id)
  drop(item.entry)
  return 'done'
end

local function judge(item)
  if owner(stream, item.entry) ~= consumer then return 'lost' end
  local token = consumer .. ' ' .. item.attempt .. ' ' .. item.part
  local mark = marks.get(item.id)
  if mark then
    if mark ~= token then return 'lost' end
    marks.set(item.id, token) -- a write, so that this connection waits for the first one
    return 'go'
  end
  local part = part_of(item.part)
  if proven(doubts.get(item.id)) then return finish_here(item, part) end
  local kind, code, text = ending_of(part)
  if kind then return finish_here(item, part, kind, code, text) end
  if part.group.control == 'paused' then
    put_back(part, (entry_fields(stream, item.entry)))
    drop(item.entry)
    return 'back'
  end
  marks.set(item.id, token)
  move(part.group, 'waiting', 'sending')
  return 'go'
end

local answers = {}
for i, item in ipairs(items) do answers[i] = judge(item) end
finish(stream)
return answers
