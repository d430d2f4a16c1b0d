-- group, word, key id, reason code, reason text: pauses, resumes or cancels. {status, control in force, stopped}.
local word = ARGV[2]
local group = group_of(ARGV[1])
local control = group.control
if not control then return {'missing', '', 0} end
if control == 'cancelled' and word == 'running' then return {'conflict', control, 0} end
if control == 'cancelled' then return {'ok', control, 0} end
local drained, complete = is_drained(group)
if drained and complete then return {'ok', 'finished', 0} end
if control == word then return {'ok', control, 0} end

local waiting = tonumber(call('HGET', group.key, 'waiting'))
local pins_anew = word == 'running' and call('HGET', group.key, 'reason_code') == 'template_changed'
call('HSET', group.key, 'control', word, 'reason_code', ARGV[4], 'reason_text', ARGV[5])
if pins_anew then call('HDEL', group.key, 'pins') end
group.control = word

local function start_anew(part)
  call('XADD', GROUPS, '*', 'part', part.name)
  call('HSET', group.key, part.state, 'job')
end

for _, field in ipairs(call('HKEYS', group.key)) do
  local number = string.match(field, '^state:(%d+)$')
  if number then
    local part = part_of(ARGV[1] .. '/' .. number)
    local state = call('HGET', group.key, field)
    if word == 'paused' then
      if state == 'ring' then leave_ring(part) end
    elseif word == 'running' then
      if state == 'out' and pins_anew then start_anew(part) elseif state == 'out' then enter_ring(part) end
    elseif state ~= 'ring' then
      if state == 'due' then call('ZREM', DUE, part.name) end
      call('HSET', group.key, field, 'out')
      enter_ring(part)
    end
  end
end

-- Retries may be hours away; the timer brings them forward, some at a time.
if word == 'cancelled' then call('RPUSH', SWEEPS, ARGV[1] .. ' 0') end

local event_names = {paused = 'paused', running = 'resumed', cancelled = 'cancelled'}
group_event(group, event_names[word], ARGV[3], ARGV[4], ARGV[5])
finish()
return {'ok', word, word == 'running' and 0 or waiting}
