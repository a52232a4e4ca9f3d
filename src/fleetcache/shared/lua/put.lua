-- Store whatever is there; ends any lease or refresh.  ARGV: entry, ms to keep  -> 1
redis.call('EXISTS', KEYS[1])
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('PTTL', KEYS[1])
return 1
