-- method, priority, consumer, least idle time, count: takes over what others hold and do not renew.
-- Answers {entry, part, element, deliveries, mark}… . What this consumer holds itself stays untouched.
local stream, consumer, idle, count = stream_of(ARGV[1], ARGV[2]), ARGV[3], ARGV[4], tonumber(ARGV[5])
if call('EXISTS', stream) == 0 then return {} end
local ids, deliveries = {}, {}
for _, pending in ipairs(call('XPENDING', stream, SENDERS, 'IDLE', idle, '-', '+', count + 1000)) do
  if pending[2] ~= consumer and #ids < count then
    ids[#ids + 1], deliveries[pending[1]] = pending[1], pending[4] + 1
  end
end
if #ids == 0 then
  forget_consumers(stream)
  return {}
end
local answers = {}
for _, entry in ipairs(call('XCLAIM', stream, SENDERS, consumer, idle, unpack(ids))) do
  local element, part = entry[2][2], entry[2][4]
  local mark = call('HGET', INFLIGHT, (string.match(element, '^%d+ %S+ (%S+)')))
  answers[#answers + 1] = {entry[1], part, element, deliveries[entry[1]], mark or ''}
end
return answers
