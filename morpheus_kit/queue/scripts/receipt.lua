-- limit of outcomes, {reference, id, event, sent event}…: keeps what a provider says; how many messages that settled.
-- -1: too many outcomes wait to be recorded.
if call('XLEN', OUTCOMES) > tonumber(ARGV[1]) then return -1 end
local items = rows(2, {'reference', 'id', 'event', 'sent'})
local marks, doubts, settled = view(INFLIGHT, items), view(DOUBT, items), 0

local function settle(item, part_name, attempt)
  local group = part_of(part_name).group
  take_later(item.id)
  move(group, 'uncertain', 'ended')
  if item.sent ~= '' then events[#events + 1] = item.sent else event(group, item.id, 'sent', attempt) end
  doubts.clear(item.id)
  settled = settled + 1
end

for _, item in ipairs(items) do
  events[#events + 1] = item.event
  local kind, _, part_name, _, attempt = later_fields(item.id)
  local mark, doubt = marks.get(item.id), doubts.get(item.id)
  if kind == 'u' then
    settle(item, part_name, attempt)
  elseif doubt then
    if not proven(doubt) then doubts.set(item.id, 'R' .. doubt) end
  elseif mark then
    local _, marked = mark_fields(mark)
    doubts.set(item.id, 'R' .. marked)
  end
end
finish()
return settled
