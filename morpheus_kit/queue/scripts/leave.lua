-- consumer, methods…: leaves the consumer groups in which this consumer holds nothing; how many it stays in.
local consumer, stays = ARGV[1], 0

local function leave(stream)
  if call('EXISTS', stream) == 0 then return end
  if #call('XPENDING', stream, SENDERS, '-', '+', 1, consumer) > 0 then
    stays = stays + 1
  else
    call('XGROUP', 'DELCONSUMER', stream, SENDERS, consumer)
  end
end

leave(GROUPS)
for i = 2, #ARGV do
  leave(stream_of(ARGV[i], 'high'))
  leave(stream_of(ARGV[i], 'normal'))
end
call('DEL', PREFIX .. 'take:' .. consumer)
return stays
