-- part, request id, offset, elements…: appends to an upload; its length, the same when repeated.
local staging = PREFIX .. 'staging:' .. ARGV[1] .. ':' .. ARGV[2]
local length = call('LLEN', staging)
if length == tonumber(ARGV[3]) and #ARGV > 3 then
  length = call('RPUSH', staging, unpack(ARGV, 4))
end
call('EXPIRE', staging, 3600)
return length
