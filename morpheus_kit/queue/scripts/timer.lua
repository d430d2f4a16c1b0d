-- count: moves what is due, by Redis' clock: parts with send_at, retries, uncertain messages. {moved, next due or -1}.
local count = tonumber(ARGV[1])
local moved, pushed = 0, {}

for _, name in ipairs(call('ZRANGEBYSCORE', DUE, '-inf', NOW, 'LIMIT', 0, count)) do
  local part = part_of(name)
  call('ZREM', DUE, name)
  if part.group.control then
    call('XADD', GROUPS, '*', 'part', name)
    call('HSET', part.group.key, part.state, 'job')
  end
  moved = moved + 1
end

local function sweep(name, cursor)
  local scanned = call('ZSCAN', LATER, cursor, 'COUNT', count)
  for i = 1, #scanned[2], 2 do
    local kind, _, part_name = later_fields(scanned[2][i])
    if kind == 'r' and part_of(part_name).group == group_of(name) then
      call('ZADD', LATER, 'XX', 'LT', NOW, scanned[2][i])
    end
  end
  if scanned[1] == '0' then call('LPOP', SWEEPS) else call('LSET', SWEEPS, 0, name .. ' ' .. scanned[1]) end
end

local swept = call('LINDEX', SWEEPS, 0)
if swept then sweep(string.match(swept, '^(%S+) (%d+)$')) end

local items = {}
for i, id in ipairs(call('ZRANGEBYSCORE', LATER, '-inf', NOW, 'LIMIT', 0, count - moved)) do items[i] = {id = id} end
local doubts = view(DOUBT, items)

local function to_pending(part, element)
  call('RPUSH', part.pending, element)
  pushed[#pushed + 1] = part
end

local function wake(id)
  local kind, policy, part_name, element, attempt = later_fields(id)
  local part, doubt = part_of(part_name), doubts.get(id)
  local from = kind == 'u' and 'uncertain' or 'waiting'
  take_later(id)
  if proven(doubt) then
    end_message(part, id, from, doubt)
    doubts.clear(id)
  elseif kind == 'r' then
    to_pending(part, element)
  elseif part.group.control == 'cancelled' or policy ~= 'resend' then
    move(part.group, from, 'ended')
    event_given_up(part.group, id, attempt)
    doubts.clear(id)
  else
    move(part.group, from, 'waiting')
    doubts.set(id, attempt)
    to_pending(part, tostring(attempt + 1) .. string.sub(element, #attempt + 1))
  end
end

for _, item in ipairs(items) do wake(item.id) end
for _, part in ipairs(pushed) do refill(part) end
finish()

local next_due = -1
for _, key in ipairs({DUE, LATER}) do
  local first = call('ZRANGE', key, 0, 0, 'WITHSCORES')[2]
  if first and (next_due < 0 or tonumber(first) < next_due) then next_due = tonumber(first) end
end
if call('EXISTS', SWEEPS) == 1 then next_due = NOW end
return {moved + #items, next_due}
