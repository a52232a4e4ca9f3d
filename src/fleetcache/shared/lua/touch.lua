-- Give an entry that carries the expected head a new life.  ARGV: head, ms to keep  -> 1 done | 0 another or none
if redis.call('GETRANGE', KEYS[1], 0, 16) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return 0
