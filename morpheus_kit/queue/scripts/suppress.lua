-- company, {stream, hash, kind}…: puts addresses on the company's lists; an empty kind takes one off.
local company = ARGV[1]
for _, item in ipairs(rows(2, {'stream', 'hash', 'kind'})) do
  local name = company .. '/' .. item.stream
  local list = SUPPRESSED .. ':' .. name
  if item.kind == '' then
    call('HDEL', list, item.hash)
    if call('EXISTS', list) == 0 then call('SREM', SUPPRESSED, name) end
  else
    call('HSET', list, item.hash, item.kind)
    call('SADD', SUPPRESSED, name)
  end
end
return 'ok'
