-- Store if there is no entry; a placeholder is none, and its load ends refused; the mark of a failed load is none.
-- ARGV: entry, ms to keep
-- -> 0 stored | {what is there, its PTTL}
local v = redis.call('GET', KEYS[1])
if v and not string.find(v, '^[LF]') then return {v, redis.call('PTTL', KEYS[1])} end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('PTTL', KEYS[1])
return 0
