-- Replace a hold by the actual cost, in the period of the hold.
--
-- KEYS  1-4 as in common.lua
-- ARGV  1 not-after (ms, 0 = none)   2 decision id   3 actual   4 success (1|0)   5 body of the event (JSON)
--       6 the hold record as the ledger knows it, used when Redis no longer has it ('' = none)
-- Answers {'COLD'|'LATE'|'UNKNOWN', now} having written nothing, {'SETTLED', now, actual},
--         {'SAME', now, actual} when it was settled so before, {'CONFLICT', now, state, charged}.

local now = now_ms()
if is_late(now, tonumber(ARGV[1])) then
  return { 'LATE', now }
end
if is_cold(redis.call('HGET', KEYS[1], 'epoch')) then
  return { 'COLD', now }
end
local id = ARGV[2]
local actual = tonumber(ARGV[3])
local record = redis.call('HGET', KEYS[2], id) or (ARGV[6] ~= '' and ARGV[6])
if not record then
  return { 'UNKNOWN', now }
end
local words = split(record)
if words[1] == 'S' and tonumber(words[3]) == actual then
  return { 'SAME', now, actual }
elseif words[1] == 'S' or words[1] == 'C' then
  return { 'CONFLICT', now, words[1], tonumber(words[3]) }
end
local before = close_hold(id, words, 'S', actual, now)
if ARGV[6] ~= '' then
  -- A counter of a period long over comes back for this change only.
  for i = FIRST_COUNTER_WORD, #words do
    redis.call('ZADD', KEYS[3], 'NX', integer(now + ENDED_COUNTER_MS), 'p:' .. words[i])
  end
end
redis.call('XADD', KEYS[4], '*', 'k', 'settle', 'd', id, 't', integer(now), 'm', integer(actual), 's', ARGV[4],
  'h', before, 'b', ARGV[5])
return { 'SETTLED', now, actual }
