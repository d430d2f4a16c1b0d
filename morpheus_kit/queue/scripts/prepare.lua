-- Makes the consumer groups, at the beginning of their streams. Those that are there stay as they are.
redis.pcall('XGROUP', 'CREATE', GROUPS, SENDERS, '0', 'MKSTREAM')
redis.pcall('XGROUP', 'CREATE', OUTCOMES, 'trackers', '0', 'MKSTREAM')
return 1
