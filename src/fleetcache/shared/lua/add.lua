-- Store if there is no entry; a placeholder is none, and its load ends refused.  ARGV: entry, ms to keep
-- -> 0 stored | {what is there, its PTTL}
local v = redis.call('GET', KEYS[1])
if v and string.sub(v, 1, 1) ~= 'L' then return {v, redis.call('PTTL', KEYS[1])} end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('PTTL', KEYS[1])
return 0
