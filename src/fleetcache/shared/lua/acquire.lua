-- Take a lease where there is no entry, or a claim. The mark of a failed load is nothing there. But if it ends waits (the
-- second failure in a row, or a load over its limit), it is stepped over only once it is ARGV[3] ms old, so that those
-- who waited for that load see it first; -1 = never.
-- ARGV: placeholder or claim, ms to keep it, ms that belong to those who waited
-- -> -n granted, after n failed loads in a row (0: after none) | {what is there, its PTTL}
local v = redis.call('GET', KEYS[1])
local failed = 0
if v then
  local pttl = redis.call('PTTL', KEYS[1])
  local count, life, kind
  if string.sub(v, 1, 1) == 'F' then count, life, kind = string.match(string.sub(v, 18), '^(%d+) (%d+) ?(%a?)') end
  if not count then return {v, pttl} end
  failed = tonumber(count)
  local age, theirs = life - pttl, tonumber(ARGV[3])
  if (failed >= 2 or kind == 't') and (theirs < 0 or (age >= 0 and age < theirs)) then return {v, pttl} end
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('PTTL', KEYS[1])
return -failed
