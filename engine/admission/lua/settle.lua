-- Replace a hold by the actual cost, in the period of the hold.
--
-- KEYS  1-4 as in common.lua
-- ARGV  1 not-after (ms, 0 = none)   2 decision id   3 actual   4 success (1|0)   5 body of the event (JSON)
--       6 the hold record as the ledger knows it, used when Redis no longer has it ('' = none)
--       7 '1' when this settle waited in pending_events, else ''
-- Answers {'COLD'|'LATE'|'UNKNOWN', now} having written nothing, {'SETTLED', now, actual},
--         {'SAME', now, actual} when it was settled so before, {'CONFLICT', now, state, charged}.

local now = now_ms()
if is_late(now, tonumber(ARGV[1])) then
  return { 'LATE', now }
end
if is_cold(redis.call('HGET', KEYS[1], 'epoch')) then
  return { 'COLD', now }
end
local id, actual, known = ARGV[2], tonumber(ARGV[3]), ARGV[6]
local record = redis.call('HGET', KEYS[2], id) or (known ~= '' and known)
local words = record and split(record)
if not record or words[1] == 'D' then
  return { 'UNKNOWN', now }
end
if words[1] == 'S' and tonumber(words[3]) == actual then
  return { 'SAME', now, actual }
elseif words[1] == 'S' or words[1] == 'C' then
  return { 'CONFLICT', now, words[1], tonumber(words[3]) }
end
redis.call('XADD', KEYS[4], '*', 'k', 'settle', 'd', id, 't', integer(now), 'm', integer(actual), 's', ARGV[4],
  'h', record, 'b', ARGV[5], 'p', ARGV[7])
close_hold(id, words, 'S', actual, now)
if known ~= '' then
  keep_a_while(words, now)
end
return { 'SETTLED', now, actual }
