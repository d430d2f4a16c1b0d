-- company, {hash, time}…: nothing that was accepted before that time goes to these addresses.
local list = ERASED .. ARGV[1]
for _, item in ipairs(rows(2, {'hash', 'time'})) do
  local known = tonumber(call('HGET', list, item.hash) or 0)
  call('HSET', list, item.hash, math.max(known, tonumber(item.time)))
end
return 'ok'
