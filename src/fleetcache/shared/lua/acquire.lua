-- Take the lease on an entry that is not there.  ARGV: placeholder, lease in ms
-- -> 0 granted | {what is there, its PTTL}
local v = redis.call('GET', KEYS[1])
if v then return {v, redis.call('PTTL', KEYS[1])} end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('PTTL', KEYS[1])
return 0
