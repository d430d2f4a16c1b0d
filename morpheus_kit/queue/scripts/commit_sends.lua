-- method, priority, consumer, records, items…: what became of a batch. For each 1 where it took effect.
local stream, consumer = stream_of(ARGV[1], ARGV[2]), ARGV[3]
local items = rows(5, {'entry', 'id', 'attempt', 'result', 'event', 'due', 'policy', 'element', 'given_up', 'ask'})
local marks, doubts = view(INFLIGHT, items), view(DOUBT, items)
records = ARGV[4]

-- Where the message stands if this caller may decide on it, and its part; nil when it may not.
local function standing(item)
  local mark = marks.get(item.id)
  if mark then
    local marked_by, attempt, part = mark_fields(mark)
    if marked_by == consumer and attempt == item.attempt then return 'sending', part end
    return nil
  end
  if item.result == 'rejected' then
    if owner(stream, item.entry) ~= consumer then return nil end
    local _, part = entry_fields(stream, item.entry)
    return 'waiting', part
  end
  -- A slow owner, after its entry was recovered.
  local kind, _, part, _, attempt = later_fields(item.id)
  if kind == 'u' and attempt == item.attempt and item.result ~= 'uncertain' then return 'uncertain', part end
end

local function settle(item, group, from, packed)
  move(group, from, 'ended')
  if packed then events[#events + 1] = packed end
  doubts.clear(item.id)
end

local function postpone(item, part, from, to, kind)
  move(part.group, from, to)
  events[#events + 1] = item.event
  local due = tonumber(item.due)
  -- A retry that would come too late expires in time instead.
  if kind == 'r' and part.group.expires then due = math.min(due, part.group.expires) end
  put_later(item.id, due, kind, item.policy, part.name, item.element, item.ask)
end

local function decide(item, part, from)
  local group, result, doubt = part.group, item.result, doubts.get(item.id)
  if result == 'sent' then return settle(item, group, from, item.event) end
  if proven(doubt) then
    event(group, item.id, 'sent', proven(doubt))
    return settle(item, group, from)
  end
  if result == 'uncertain' then
    if doubt then
      event_given_up(group, item.id, item.attempt, item.given_up)
      return settle(item, group, from)
    end
    return postpone(item, part, from, 'uncertain', 'u')
  end
  if result == 'failed' or result == 'rejected' then return settle(item, group, from, item.event) end
  if group.control == 'cancelled' then
    event(group, item.id, 'cancelled', item.attempt, 'group_cancelled', TEXTS.group_cancelled)
    return settle(item, group, from)
  end
  postpone(item, part, from, 'waiting', 'r')
end

-- Nobody waits for this answer any more, but it says that the provider has the message.
local function keep_late_sent(item)
  events[#events + 1] = item.event
  if doubts.get(item.id) then doubts.set(item.id, 'R' .. item.attempt) end
end

local answers = {}
for i, item in ipairs(items) do
  local from, part_name = standing(item)
  answers[i] = part_name and 1 or 0
  if part_name then
    if from == 'uncertain' then
      take_later(item.id)
    else
      marks.clear(item.id)
      drop(item.entry)
    end
    decide(item, part_of(part_name), from)
  elseif item.result == 'sent' then
    keep_late_sent(item)
  end
end
finish(stream)
return answers
