-- consumer group, number of entries, entries…, {number of fields, name, value…}…: what cannot be recorded goes to
-- `dead`, and its entries are done with. How many letters; none when the first entry is gone: they were added before.
local last = 2 + tonumber(ARGV[2])
if #call('XRANGE', OUTCOMES, ARGV[3], ARGV[3]) == 0 then return 0 end
local at, letters = last + 1, 0
while at <= #ARGV do
  local ends = at + 2 * tonumber(ARGV[at])
  call('XADD', DEAD, '*', unpack(ARGV, at + 1, ends))
  at, letters = ends + 1, letters + 1
end
call('XACK', OUTCOMES, ARGV[1], unpack(ARGV, 3, last))
call('XDEL', OUTCOMES, unpack(ARGV, 3, last))
return letters
