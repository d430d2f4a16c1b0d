-- Says that every list is in this Redis: the gate opens.
call('SADD', SUPPRESSED, '')
return 'ok'
