-- consumer, nonce, count, limit of outcomes, methods…: hands out waiting messages in turn, high priority first.
-- Answers {status, ended, {{method, priority, entry, part, element}…}}.
local consumer, nonce, count = ARGV[1], ARGV[2], tonumber(ARGV[3])
local memo = PREFIX .. 'take:' .. consumer
local SLICE, BATCH = 50, 500

local function again(slices)
  local items = {}
  for _, slice in ipairs(slices) do
    local method, priority, entries = slice[1], slice[2], slice[3]
    local stream = stream_of(method, priority)
    for _, entry in ipairs(entries) do
      if owner(stream, entry) == consumer then
        local element, part = entry_fields(stream, entry)
        if element then items[#items + 1] = {method, priority, entry, part, element} end
      end
    end
  end
  return items
end

local last = call('GET', memo)
if last then
  local slices = cmsgpack.unpack(last)
  if slices[1] == nonce then return {'ok', 0, again(slices[2])} end
end
if call('XLEN', OUTCOMES) > tonumber(ARGV[4]) then return {'full', 0, {}} end

local items, slices, ended = {}, {}, 0

local function end_slice(part, elements, kind, code, text)
  local messages = {}
  for i, element in ipairs(elements) do
    local attempt, id = string.match(element, '^(%d+) %S+ (%S+)')
    messages[i] = {id = id, attempt = attempt, element = element}
  end
  local doubts = view(DOUBT, messages)
  for _, m in ipairs(messages) do
    end_message(part, m.id, 'waiting', doubts.get(m.id), m.attempt, kind, code, text, m.element)
    doubts.clear(m.id)
  end
  ended = ended + #elements
end

local function hand_out(part, elements, method, priority)
  local stream = stream_of(method, priority)
  if call('EXISTS', stream) == 0 then call('XGROUP', 'CREATE', stream, SENDERS, '0', 'MKSTREAM') end
  for _, element in ipairs(elements) do call('XADD', stream, '*', 'e', element, 'p', part.name) end
  -- Nothing else is unread: entries are added and read by this script alone.
  local read = call('XREADGROUP', 'GROUP', SENDERS, consumer, 'COUNT', #elements, 'STREAMS', stream, '>')
  local entries = {}
  for i, entry in ipairs(read[1][2]) do
    entries[i] = entry[1]
    items[#items + 1] = {method, priority, entry[1], entry[2][4], entry[2][2]}
  end
  slices[#slices + 1] = {method, priority, entries}
end

-- One slice of the next part of the next company; false when the ring is empty.
local function turn(ring, method, priority, fair)
  local company = call('LMOVE', ring, ring, 'LEFT', 'RIGHT')
  if not company then return false end
  local of_company = ring .. ':' .. company
  local part = part_of(call('LMOVE', of_company, of_company, 'LEFT', 'RIGHT'))
  local kind, code, text = ending_of(part)
  local room = kind and BATCH - ended - #items or math.min(count - #items, fair)
  local elements = call('LPOP', part.pending, room) or {}
  if call('LLEN', part.pending) == 0 then leave_ring(part) end
  if kind then
    end_slice(part, elements, kind, code, text)
  elseif #elements > 0 then
    hand_out(part, elements, method, priority)
  end
  return true
end

local function serve(priority, first)
  for i = first, #ARGV do
    local ring = PREFIX .. 'ring:' .. ARGV[i] .. ':' .. priority
    local fair = math.max(SLICE, math.ceil(count / math.max(1, call('LLEN', ring))))
    while #items < count and ended + #items < BATCH and turn(ring, ARGV[i], priority, fair) do end
  end
end

serve('high', 5)
serve('normal', 5)
if #items == 0 and ended == 0 then return {'idle', 0, {}} end
if #slices > 0 then call('SET', memo, cmsgpack.pack({nonce, slices}), 'EX', 3600) end
finish()
return {'ok', ended, items}
