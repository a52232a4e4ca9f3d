-- The version of a tag; a missing one is unknown and gets a new random version.  ARGV: new version, ms to keep (0 = no end)
-- -> {version, 1 if this wrote (and so pushes to us) else 0}
local v = redis.call('GET', KEYS[1])
local keep = tonumber(ARGV[2])
if not v or #v ~= 16 then
  if keep > 0 then redis.call('SET', KEYS[1], ARGV[1], 'PX', keep) else redis.call('SET', KEYS[1], ARGV[1]) end
  redis.call('PTTL', KEYS[1])
  return {ARGV[1], 1}
end
if keep > 0 and redis.call('PTTL', KEYS[1]) < keep / 2 then
  redis.call('PEXPIRE', KEYS[1], keep)
  redis.call('PTTL', KEYS[1])
  return {v, 1}
end
return {v, 0}
