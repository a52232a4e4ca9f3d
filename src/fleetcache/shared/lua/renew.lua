-- Let what carries the expected head live at least so long.  ARGV: head, ms
-- -> 1 prolonged | 0 gone, or living longer anyway
if redis.call('GETRANGE', KEYS[1], 0, 16) == ARGV[1] and redis.call('PTTL', KEYS[1]) < tonumber(ARGV[2]) then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  redis.call('PTTL', KEYS[1])
  return 1
end
return 0
