-- Remove what carries the expected head: a lease, a claim or a tag version that is given up.  ARGV: head
-- -> 1 removed | 0 somebody else's
if redis.call('GETRANGE', KEYS[1], 0, 16) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
