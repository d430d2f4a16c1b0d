-- method, priority, consumer, {entry, id, attempt, part, hash}…: the only way to a provider. For each `go`, `lost`,
-- `done` (ended here) or `back` (returned to its part). Repeated it answers the same `go`s. Nothing at all while
-- the lists of suppressed addresses are not in this Redis. `hash` is that of the recipient's address.
if call('SISMEMBER', SUPPRESSED, '') == 0 then return {} end
local stream, consumer = stream_of(ARGV[1], ARGV[2]), ARGV[3]
local items = rows(4, {'entry', 'id', 'attempt', 'part', 'hash'})
local marks, doubts = view(INFLIGHT, items), view(DOUBT, items)

local function finish_here(item, part, kind, code, text)
  local element = entry_fields(stream, item.entry)
  end_message(part, item.id, 'waiting', doubts.get(item.id), item.attempt, kind, code, text, element)
  doubts.clear(item.id)
  drop(item.entry)
  return 'done'
end

-- Why the address of each item must not be written to, by its place; read once for each list of the call.
local kinds, lists_read = {}, {}

local function read_list(name)
  lists_read[name] = true
  if call('SISMEMBER', SUPPRESSED, name) == 0 then return end
  local hashes = {}
  for i, item in ipairs(items) do hashes[i] = item.hash end
  kinds[name] = call('HMGET', SUPPRESSED .. ':' .. name, unpack(hashes))
end

local function suppression_of(place, group)
  for _, stream_name in ipairs({'', group.stream}) do
    local name = group.company .. '/' .. stream_name
    if not lists_read[name] then read_list(name) end
    local kind = kinds[name] and kinds[name][place]
    if kind then return 'suppressed_' .. kind end
  end
end

-- Whether the message at this place was accepted before its recipient was erased.
local erased = {}

local function is_erased(place, part)
  local company = part.group.company
  if not erased[company] then
    local hashes = {}
    for i, item in ipairs(items) do hashes[i] = item.hash end
    erased[company] = call('HMGET', ERASED .. company, unpack(hashes))
  end
  local time = erased[company][place]
  if not time then return false end
  local accepted = call('HGET', part.group.key, (string.gsub(part.state, 'state', 'part')))
  return tonumber(accepted or 0) <= tonumber(time)
end

local function judge(item, place)
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
  if is_erased(place, part) then
    return finish_here(item, part, 'cancelled', 'recipient_erased', TEXTS.recipient_erased)
  end
  if part.group.control == 'paused' then
    put_back(part, (entry_fields(stream, item.entry)))
    drop(item.entry)
    return 'back'
  end
  local suppressed = suppression_of(place, part.group)
  if suppressed then return finish_here(item, part, 'rejected', suppressed, TEXTS[suppressed]) end
  marks.set(item.id, token)
  move(part.group, 'waiting', 'sending')
  return 'go'
end

local answers = {}
for i, item in ipairs(items) do answers[i] = judge(item, i) end
finish(stream)
return answers
