-- consumer group, entries…: acknowledges and deletes recorded outcomes; how many were there.
call('XACK', OUTCOMES, ARGV[1], unpack(ARGV, 2))
return call('XDEL', OUTCOMES, unpack(ARGV, 2))
