-- {part, id, element}…: takes messages of an erased person out of what waits; without an element out of `later`.
-- How many were there. Those of which it is unclear whether they were sent are given up.
local code = 'recipient_erased'
local items = rows(1, {'part', 'id', 'element'})
local doubts, count = view(DOUBT, items), 0

local function end_erased(item, part, from, attempt, element)
  end_message(part, item.id, from, doubts.get(item.id), attempt, 'cancelled', code, TEXTS[code], element)
  doubts.clear(item.id)
  count = count + 1
end

local function erase_later(item)
  local kind, _, part_name, _, attempt = later_fields(item.id)
  if not kind then return end
  local part = part_of(part_name)
  take_later(item.id)
  if kind == 'r' then return end_erased(item, part, 'waiting', attempt) end
  move(part.group, 'uncertain', 'ended')
  event_given_up(part.group, item.id, attempt)
  doubts.clear(item.id)
  count = count + 1
end

for _, item in ipairs(items) do
  if item.element == '' then
    erase_later(item)
  else
    local part = part_of(item.part)
    if call('LREM', part.pending, -1, item.element) == 1 then
      end_erased(item, part, 'waiting', string.match(item.element, '^%d+'), item.element)
    end
  end
end
finish()
return count
