-- method, priority, consumer, entries…: those still held by this consumer, with a fresh lease.
local stream, consumer, mine = stream_of(ARGV[1], ARGV[2]), ARGV[3], {}
for i = 4, #ARGV do
  if owner(stream, ARGV[i]) == consumer then mine[#mine + 1] = ARGV[i] end
end
if #mine == 0 then return {} end
local arguments = {stream, SENDERS, consumer, 0, unpack(mine)}
arguments[#arguments + 1] = 'JUSTID'
call('XCLAIM', unpack(arguments))
return mine
