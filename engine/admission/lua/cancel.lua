-- The call never left: undo its hold and its execution count. The rate windows keep the request.
--
-- KEYS  1-4 as in common.lua
-- ARGV  1 not-after (ms, 0 = none)   2 decision id
-- Answers {'COLD'|'LATE'|'UNKNOWN', now}, {'CANCELLED', now}, {'SAME', now}, {'CONFLICT', now, state, charged}.

local now = now_ms()
if is_late(now, tonumber(ARGV[1])) then
  return { 'LATE', now }
end
if is_cold(redis.call('HGET', KEYS[1], 'epoch')) then
  return { 'COLD', now }
end
local id = ARGV[2]
local record = redis.call('HGET', KEYS[2], id)
if not record then
  return { 'UNKNOWN', now }
end
local words = split(record)
if words[1] == 'C' then
  return { 'SAME', now }
elseif words[1] ~= 'H' then
  return { 'CONFLICT', now, words[1], tonumber(words[3]) }
end
for i = FIRST_COUNTER_WORD, #words do
  redis.call('HINCRBY', KEYS[1], words[i] .. ':x', -1)
end
local before = close_hold(id, words, 'C', 0, now)
redis.call('XADD', KEYS[4], '*', 'k', 'cancel', 'd', id, 't', integer(now), 'm', 0, 'h', before)
return { 'CANCELLED', now }
