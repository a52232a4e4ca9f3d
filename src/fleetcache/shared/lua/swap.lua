-- Replace what carries the expected head: a placeholder (fulfil) or an older entry.  ARGV: head, entry, ms to keep
-- -> 1 stored | 0 refused
if redis.call('GETRANGE', KEYS[1], 0, 16) == ARGV[1] then
  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
  redis.call('PTTL', KEYS[1])
  return 1
end
return 0
