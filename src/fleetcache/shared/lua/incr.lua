-- Add to a counter: an entry of codec 0 (decimal text), fresh, unsigned, of the same tags; its life stays as it is.
-- ARGV: a whole entry to begin with (its payload is the delta), ms to keep, new stamp head, head of an entry that may
-- be replaced because it is unusable ('' = none)
-- -> {1, new value as text} | {0, what is there, its PTTL}: not this script's to write, or beyond 2^53 - 1, where Lua
-- can no longer count
local v = redis.call('GET', KEYS[1])
local start = struct.unpack('>H', string.sub(ARGV[1], 34, 35))
local delta = string.sub(ARGV[1], start + 1)
local pttl = v and redis.call('PTTL', KEYS[1])
if not v or string.find(v, '^[LF]') or string.sub(v, 1, 17) == ARGV[4] then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
  return {1, delta}
end
if #v <= start or string.sub(v, 18, 20) ~= string.sub(ARGV[1], 18, 20) or
   string.sub(v, 34, start) ~= string.sub(ARGV[1], 34, start) or
   pttl <= 10000 + struct.unpack('>I4', string.sub(v, 26, 29)) then
  return {0, v, pttl}
end
local old, step = tonumber(string.sub(v, start + 1)), tonumber(delta)
if not old or math.abs(old) >= 9007199254740992 or math.abs(step) >= 9007199254740992 or
   math.abs(old + step) >= 9007199254740992 then
  return {0, v, pttl}
end
local sum = string.format('%.0f', old + step)
redis.call('SET', KEYS[1], ARGV[3] .. string.sub(v, 18, start) .. sum, 'PX', pttl)
return {1, sum}
