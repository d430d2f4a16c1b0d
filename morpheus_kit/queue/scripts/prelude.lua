-- What all scripts share. KEYS[1] is the partition's `outcomes`; every other name is made from its prefix.
-- A script reads and checks first, notes what is to change, and `finish()` writes it.
local call = redis.call
local OUTCOMES = KEYS[1]
local PREFIX = string.sub(OUTCOMES, 1, -#'outcomes' - 1)
local GROUPS, DUE, DEAD = PREFIX .. 'groups', PREFIX .. 'due', PREFIX .. 'dead'
local LATER, BLOBS = PREFIX .. 'later', PREFIX .. 'later:blobs'
local INFLIGHT, DOUBT = PREFIX .. 'inflight', PREFIX .. 'doubt'
-- The set of names of the lists of suppressed addresses, and '' once all of them are in this Redis.
local SUPPRESSED = PREFIX .. 'suppressed'
local ERASED = PREFIX .. 'erased:' -- and a company: when each of its erased persons was
local SENDERS = 'senders'
local SWEEPS = PREFIX .. 'sweeps' -- groups whose retries are to be brought forward: `<group> <cursor>`
local WEEK, MONTH = 7 * 86400, 31 * 86400

local clock = call('TIME')
local NOW = clock[1] * 1000 + math.floor(clock[2] / 1000)

-- Arguments from `first` on, as one table for each run of `fields`.
local function rows(first, fields)
  local list, width = {}, #fields
  for at = first, #ARGV, width do
    local row = {}
    for i = 1, width do row[fields[i]] = ARGV[at + i - 1] end
    list[#list + 1] = row
  end
  return list
end

-- msgpack ------------------------------------------------------------------------------------

local function big_endian(number, bytes)
  local text = ''
  for _ = 1, bytes do
    text = string.char(number % 256) .. text
    number = math.floor(number / 256)
  end
  return text
end

local function packed_array(values)
  local count = #values
  local head = count < 16 and string.char(0x90 + count) or '\220' .. big_endian(count, 2)
  return head .. table.concat(values)
end

-- `bin`: cmsgpack itself would write text.
local function packed_bytes(value)
  local size = #value
  if size < 256 then return '\196' .. big_endian(size, 1) .. value end
  if size < 65536 then return '\197' .. big_endian(size, 2) .. value end
  return '\198' .. big_endian(size, 4) .. value
end

-- What goes to `outcomes`, as one entry ------------------------------------------------------

local events, blobs, group_events, records = {}, {}, {}, ''

local function event(group, id, kind, attempt, code, text)
  local source, reference = 'us', group.ref .. '-' .. id
  events[#events + 1] = cmsgpack.pack({reference, kind, tonumber(attempt), NOW, source, code or '', text or ''})
end

-- `versions`: a packed map; the array of nine is the one of eight with it behind.
local function group_event(group, kind, key_id, code, text, versions)
  local fields = {group.company, group.id, kind, NOW, key_id, code, text, group.ref}
  local packed = cmsgpack.pack(fields)
  if versions then packed = string.char(string.byte(packed) + 1) .. string.sub(packed, 2) .. versions end
  group_events[#group_events + 1] = packed
end

-- Uncertain for the second time; `packed` as the caller has it, or made here.
local function event_given_up(group, id, attempt, packed)
  if packed and packed ~= '' then
    events[#events + 1] = packed
  else
    event(group, id, 'failed', attempt, 'uncertain_given_up', TEXTS.uncertain_given_up)
  end
end

local function write_outcomes()
  local fields = {}
  local function add(name, value) fields[#fields + 1], fields[#fields + 2] = name, value end
  if #events > 0 then add('events', packed_array(events)) end
  if #blobs > 0 then add('blobs', packed_array(blobs)) end
  if #group_events > 0 then add('group_events', packed_array(group_events)) end
  if #fields > 0 and records ~= '' then add('records', records) end
  if #fields > 0 then call('XADD', OUTCOMES, '*', unpack(fields)) end
end

-- Hashes by message id, read once for all ids of a call and written once at its end ----------

local views = {}

local function view(key, items)
  local ids, values, changed = {}, {}, {}
  for i, item in ipairs(items) do ids[i] = item.id end
  if #ids > 0 then
    for i, value in ipairs(call('HMGET', key, unpack(ids))) do values[ids[i]] = value end
  end
  local self = {}
  function self.get(id) return values[id] end
  function self.set(id, value) values[id], changed[id] = value, true end
  function self.clear(id) if values[id] then self.set(id, false) end end
  function self.write()
    local set, gone = {}, {}
    for id in pairs(changed) do
      if values[id] then set[#set + 1], set[#set + 2] = id, values[id] else gone[#gone + 1] = id end
    end
    if #set > 0 then call('HSET', key, unpack(set)) end
    if #gone > 0 then call('HDEL', key, unpack(gone)) end
  end
  views[#views + 1] = self
  return self
end

-- Groups, their ledger and their parts -------------------------------------------------------

local groups, parts = {}, {} -- by name, and in the order in which they were met
local met_groups, met_parts = {}, {}

local function group_of(name)
  local group = groups[name]
  if group then return group end
  local key = PREFIX .. 'group:' .. name
  local read = call('HMGET', key, 'control', 'ref', 'expires_ms', 'method', 'priority', 'stream')
  group = {key = key, control = read[1], ref = read[2] or '', method = read[4], priority = read[5], moves = {}}
  group.stream = read[6] or 'transactional'
  group.company, group.id = string.match(name, '^([^/]*)/(.*)$')
  local expires = tonumber(read[3] or 0)
  if expires > 0 then group.expires, group.expired = expires, expires <= NOW end
  groups[name], met_groups[#met_groups + 1] = group, group
  return group
end

local function part_of(name)
  local part = parts[name]
  if part then return part end
  local group, number = string.match(name, '^(.*)/(%d+)$')
  part = {name = name, group = group_of(group), pending = PREFIX .. 'pending:' .. name, state = 'state:' .. number}
  part.ending, part.backs = 'ending:' .. number, {}
  parts[name], met_parts[#met_parts + 1] = part, part
  return part
end

-- Moves one message in the ledger; nil: it comes from or goes nowhere.
local function move(group, from, to)
  local moves = group.moves
  if from then moves[from] = (moves[from] or 0) - 1 end
  if to then moves[to] = (moves[to] or 0) + 1 end
end

local function is_drained(group)
  local n = call('HMGET', group.key, 'waiting', 'sending', 'uncertain', 'parts', 'parts_in')
  if tonumber(n[1]) + tonumber(n[2]) + tonumber(n[3]) > 0 then return false, false end
  return true, tonumber(n[4]) <= tonumber(n[5])
end

-- A drained group is kept for a while, longer when parts of it may still come.
local function expire_if_drained(group)
  local drained, complete = is_drained(group)
  if not drained then return end
  call('EXPIRE', group.key, complete and WEEK or MONTH)
  local kept = call('HGET', group.key, 'shared_kept')
  if kept then
    call('HSET', group.key, 'shared', kept)
    call('HDEL', group.key, 'shared_kept')
  end
end

local function write_ledgers()
  for _, group in ipairs(met_groups) do
    for field, change in pairs(group.moves) do
      if change ~= 0 then call('HINCRBY', group.key, field, change) end
    end
    if (group.moves.ended or 0) > 0 then expire_if_drained(group) end
  end
end

-- The ring: companies with something to take, and of each company its parts. A part's state is
-- `due`, `job` (to be started), `ring`, or `out`: started, but paused or with nothing that waits.

local function ring_of(group)
  local ring = PREFIX .. 'ring:' .. group.method .. ':' .. group.priority
  return ring, ring .. ':' .. group.company
end

local function enter_ring(part)
  if part.group.control == 'paused' or call('LLEN', part.pending) == 0 then return end
  local ring, of_company = ring_of(part.group)
  if call('RPUSH', of_company, part.name) == 1 then call('RPUSH', ring, part.group.company) end
  call('HSET', part.group.key, part.state, 'ring')
end

local function leave_ring(part)
  local ring, of_company = ring_of(part.group)
  call('LREM', of_company, 0, part.name)
  if call('EXISTS', of_company) == 0 then call('LREM', ring, 0, part.group.company) end
  call('HSET', part.group.key, part.state, 'out')
end

local function refill(part)
  if call('HGET', part.group.key, part.state) == 'out' then enter_ring(part) end
end

-- Entries that a sender holds ----------------------------------------------------------------

local dropped, dropped_ids = {}, {}

local function stream_of(method, priority) return PREFIX .. 'messages:' .. method .. ':' .. priority end

local function owner(stream, entry)
  if dropped[entry] then return nil end
  local pending = call('XPENDING', stream, SENDERS, entry, entry, 1)[1]
  return pending and pending[2]
end

local function drop(entry)
  if not dropped[entry] then dropped[entry], dropped_ids[#dropped_ids + 1] = true, entry end
end

-- Forgets consumers that hold nothing and were silent for a day; one that comes back is made again.
local function forget_consumers(stream)
  for _, found in ipairs(call('XINFO', 'CONSUMERS', stream, SENDERS)) do
    local name, pending, idle = found[2], found[4], found[6]
    if pending == 0 and idle > 86400000 then call('XGROUP', 'DELCONSUMER', stream, SENDERS, name) end
  end
end

-- Element and part name of an entry; nil when it is gone.
local function entry_fields(stream, entry)
  local found = call('XRANGE', stream, entry, entry)[1]
  if found then return found[2][2], found[2][4] end
end

-- To the head of `pending`, all of a call in their order.
local function put_back(part, element) part.backs[#part.backs + 1] = element end

local function write_entries(stream)
  if #dropped_ids > 0 then
    call('XACK', stream, SENDERS, unpack(dropped_ids))
    call('XDEL', stream, unpack(dropped_ids))
  end
  for _, part in ipairs(met_parts) do
    for i = #part.backs, 1, -1 do call('LPUSH', part.pending, part.backs[i]) end
    if #part.backs > 0 then refill(part) end
  end
end

-- Later: retries (`r`) and uncertain messages (`u`) -------------------------------------------

local function asks_of(provider) return PREFIX .. 'asks:' .. provider end

-- `ask`: when its provider is to be asked for it; 0 or nil: never. An ask that is not needed any more is dropped when
-- it is due.
local function put_later(id, due, kind, policy, part_name, element, ask)
  local provider = tonumber(ask or 0) > 0 and string.match(element, '^%d+ %d+@(%S+) ')
  if provider then call('ZADD', asks_of(provider), ask, id) end
  call('ZADD', LATER, due, id)
  call('HSET', BLOBS, id, kind .. ' ' .. policy .. ' ' .. part_name .. ' ' .. element)
end

local function take_later(id)
  call('ZREM', LATER, id)
  call('HDEL', BLOBS, id)
end

-- Kind, policy, part name, element and attempt of a message in `later`; nil when it is not there.
local function later_fields(id)
  local value = call('HGET', BLOBS, id)
  if not value then return nil end
  local kind, policy, part_name, element = string.match(value, '^(%a) (%S+) (%S+) (.*)$')
  return kind, policy, part_name, element, string.match(element, '^%d+')
end

-- Marks and doubts. A mark is `<consumer> <attempt> <part>`. A doubt is the attempt whose fate is
-- unclear while another may go out, behind an `R` once a receipt proved that it was taken.

local function mark_fields(mark) return string.match(mark, '^(%S+) (%d+) (%S+)$') end

local function proven(doubt) return doubt and string.match(doubt, '^R(%d+)$') end

-- Ends a message that waits in `from` without its provider: with the `sent` that a receipt proved,
-- else with `kind`. `element` is recorded, for it may have no document yet.
local function end_message(part, id, from, doubt, attempt, kind, code, text, element)
  local group, taken = part.group, proven(doubt)
  move(group, from, 'ended')
  if taken then event(group, id, 'sent', taken) else event(group, id, kind, attempt, code, text) end
  if element then
    local head = cmsgpack.pack(group.ref .. '-' .. id) .. cmsgpack.pack(group.company) .. cmsgpack.pack(group.id)
    blobs[#blobs + 1] = '\148' .. head .. packed_bytes(element)
  end
end

-- Why the messages of a part may not go out any more: kind, code and text of their last event; nil: they may.
local function ending_of(part)
  local group = part.group
  if group.control == 'cancelled' then return 'cancelled', 'group_cancelled', TEXTS.group_cancelled end
  if group.expired then return 'expired', 'expired', TEXTS.expired end
  if part.failure == nil then
    local failure = call('HGET', group.key, part.ending)
    part.failure = failure and cmsgpack.unpack(failure)
  end
  if part.failure then return 'rejected', part.failure[1], part.failure[2] end
end

local function finish(stream)
  for _, each in ipairs(views) do each.write() end
  write_entries(stream)
  write_ledgers()
  write_outcomes()
end
