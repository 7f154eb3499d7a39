-- Take over a decision that was made while Redis was away: count it and append its event, once.
--
-- KEYS  1-4 as in common.lua, 5.. one ring string for each rate scope, then the idempotency key when ARGV[9] is given
-- ARGV  1 decision id   2 allowed (1|0)   3 decided (ms)   4 expires (ms)   5 the answer, as check.lua gives it
--       6 body of the event (JSON)   7 hold record   8 number of rate scopes
--       9 hash of the request with an idempotency key, else ''
--       10 the id under which the gate was asked, when it is another one, else ''
--       11.. for each counter of the record its end (ms)
-- Answers {'COLD', now}, {'FOLDED', now}, {'SAME', now} when it was done before,
--         {'UNDONE', now} when the gate had allowed what its caller took for a denial: that hold is cancelled.

local FIRST_END = 11

local now = now_ms()

local function cancel_hold(hold_id, record, waited)
  redis.call('XADD', KEYS[4], '*', 'k', 'cancel', 'd', hold_id, 't', integer(now), 'm', 0, 'h', record, 'p', waited)
  close_hold(hold_id, split(record), 'C', 0, now)
end

if is_cold(redis.call('HGET', KEYS[1], 'epoch')) then
  return { 'COLD', now }
end
local id, allowed, decided, expires, hash = ARGV[1], ARGV[2] == '1', tonumber(ARGV[3]), ARGV[4], ARGV[9]
local stands = redis.call('HGET', KEYS[2], id)
if stands then
  if split(stands)[1] ~= 'H' or allowed then
    return { 'SAME', now }
  end
  cancel_hold(id, stands, '1')
  return { 'UNDONE', now }
end
-- The gate had allowed the call, but its answer was lost: its caller knows another hold by now.
local asked = ARGV[10]
local lost = asked ~= '' and redis.call('HGET', KEYS[2], asked)
lost = lost and split(lost)[1] == 'H' and lost
if lost then
  cancel_hold(asked, lost, '')
end
redis.call('XADD', KEYS[4], '*', 'k', 'check', 'd', id, 't', integer(decided), 'a', ARGV[5], 'b', ARGV[6], 'p', '1')
if not allowed then
  redis.call('HSET', KEYS[2], id, 'D 0 0 -')
  redis.call('ZADD', KEYS[3], integer(now + CLOSED_HOLD_MS), 'c:' .. id)
  return { 'FOLDED', now }
end
local words = split(ARGV[7])
for i = FIRST_COUNTER_WORD, #words do
  local ends = tonumber(ARGV[FIRST_END + i - FIRST_COUNTER_WORD])
  redis.call('HINCRBY', KEYS[1], words[i] .. ':h', words[2])
  redis.call('HINCRBY', KEYS[1], words[i] .. ':x', 1)
  redis.call('ZADD', KEYS[3], integer(math.max(ends, now) + ENDED_COUNTER_MS), 'p:' .. words[i])
end
redis.call('HSET', KEYS[2], id, ARGV[7])
redis.call('ZADD', KEYS[3], expires, 'o:' .. id)
for i = 1, lost and 0 or tonumber(ARGV[8]) do
  local key = KEYS[4 + i]
  hit_scope_late(key, read_scope(key, decided), decided)
end
if hash ~= '' and (lost or redis.call('EXISTS', KEYS[#KEYS]) == 0) then
  redis.call('SET', KEYS[#KEYS], hash .. ' ' .. id .. ' ' .. ARGV[3] .. ' ' .. expires, 'PX', IDEMPOTENCY_MS)
end
return { 'FOLDED', now }
