-- entry, {name, value}…: takes a dead letter out, and puts what is left of it in its place. 0: it was gone.
if call('XDEL', DEAD, ARGV[1]) == 0 then return 0 end
if #ARGV > 1 then call('XADD', DEAD, '*', unpack(ARGV, 2)) end
return 1
