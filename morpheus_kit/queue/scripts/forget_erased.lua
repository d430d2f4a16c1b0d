-- company, hash…: erasures that are too long ago to matter.
call('HDEL', ERASED .. ARGV[1], unpack(ARGV, 2))
return 'ok'
