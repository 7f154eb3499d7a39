-- The call never left: undo its hold and its execution count. The rate windows keep the request.
--
-- KEYS  1-4 as in common.lua
-- ARGV  1 not-after (ms, 0 = none)   2 decision id
--       3 the hold record as the ledger knows it, used when Redis no longer has it ('' = none)
--       4 '1' when this cancel waited in pending_events, else ''
-- Answers {'COLD'|'LATE'|'UNKNOWN', now}, {'CANCELLED', now}, {'SAME', now}, {'CONFLICT', now, state, charged}.

local now = now_ms()
if is_late(now, tonumber(ARGV[1])) then
  return { 'LATE', now }
end
if is_cold(redis.call('HGET', KEYS[1], 'epoch')) then
  return { 'COLD', now }
end
local id, known = ARGV[2], ARGV[3]
local record = redis.call('HGET', KEYS[2], id) or (known ~= '' and known)
local words = record and split(record)
if not record or words[1] == 'D' then
  return { 'UNKNOWN', now }
end
if words[1] == 'C' then
  return { 'SAME', now }
elseif words[1] ~= 'H' then
  return { 'CONFLICT', now, words[1], tonumber(words[3]) }
end
redis.call('XADD', KEYS[4], '*', 'k', 'cancel', 'd', id, 't', integer(now), 'm', 0, 'h', record, 'p', ARGV[4])
close_hold(id, words, 'C', 0, now)
if known ~= '' then
  keep_a_while(words, now)
end
return { 'CANCELLED', now }
