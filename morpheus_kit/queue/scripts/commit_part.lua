-- Makes an upload a part of its group: all of it or nothing. Answers {kind, reply, detail}.
local names = {
  'part', 'request', 'count', 'body_digest', 'digest', 'shared', 'method', 'priority', 'send_ms', 'expires_ms',
  'parts', 'total', 'rejected', 'reply', 'ttl', 'ref', 'month', 'records', 'events', 'group_events',
  'stream', 'shared_kept',
}
local new = rows(1, names)[1]
local part = part_of(new.part)
local group = part.group
local staging = PREFIX .. 'staging:' .. new.part .. ':' .. new.request
local idem, forever = PREFIX .. 'idem:' .. new.part, PREFIX .. 'idem:' .. group.company .. '/' .. group.id

local answered = call('GET', idem)
if answered then
  local digest, reply = string.match(answered, '^(%S+) (.*)$')
  if digest ~= new.body_digest then return {'conflict', '', 'body'} end
  call('DEL', staging)
  call('SET', idem, answered, 'KEEPTTL') -- a write, so that this connection waits for the first one
  return {'replayed', reply, ''}
end

local digest = call('HGET', group.key, 'digest')
if not digest and call('EXISTS', forever) == 1 then return {'conflict', '', 'finished'} end
if digest and digest ~= new.digest then return {'conflict', '', 'shared'} end
if group.control == 'cancelled' then return {'conflict', '', 'cancelled'} end
if digest and group.ref ~= new.ref then return {'aborted', '', 'ref'} end
local count = tonumber(new.count)
if call('LLEN', staging) ~= count then return {'aborted', '', 'count'} end

if not digest then
  call('HSET', group.key, 'shared', new.shared, 'digest', new.digest, 'control', 'running', 'ref', new.ref,
    'month', new.month, 'method', new.method, 'priority', new.priority, 'send_ms', new.send_ms,
    'expires_ms', new.expires_ms, 'parts', new.parts, 'accepted_ms', NOW, 'stream', new.stream,
    'total', 0, 'waiting', 0, 'sending', 0, 'uncertain', 0, 'ended', 0, 'parts_in', 0)
end
-- Also for a further part: what must not be kept had gone from a group that was drained.
if new.shared_kept ~= '' then call('HSET', group.key, 'shared', new.shared, 'shared_kept', new.shared_kept) end
local state = 'out'
if count > 0 then
  call('PERSIST', staging)
  call('RENAME', staging, part.pending)
  if tonumber(new.send_ms) > NOW then
    state = 'due'
    call('ZADD', DUE, new.send_ms, new.part)
  else
    state = 'job'
    call('XADD', GROUPS, '*', 'part', new.part)
  end
end
call('HSET', group.key, part.state, state, string.gsub(part.state, 'state', 'part'), NOW)
call('HINCRBY', group.key, 'parts_in', 1)
call('HINCRBY', group.key, 'total', new.total)
call('HINCRBY', group.key, 'waiting', count)
call('HINCRBY', group.key, 'ended', new.rejected)
call('PERSIST', group.key)
call('SET', idem, new.body_digest .. ' ' .. new.reply, 'EX', new.ttl)
call('SET', forever, new.ref, 'EX', new.ttl)
local fields = {}
for _, name in ipairs({'records', 'events', 'group_events'}) do
  if new[name] ~= '' then fields[#fields + 1], fields[#fields + 2] = name, new[name] end
end
if #fields > 0 then call('XADD', OUTCOMES, '*', unpack(fields)) end
expire_if_drained(group)
return {'committed', new.reply, ''}
