-- Decide one call and, when it may happen, hold its reserve and count it: all or nothing, in one step.
--
-- KEYS  1-4 as in common.lua, 5.. one ring string for each rate scope, then the idempotency key when ARGV[9] is given
-- ARGV  1 not-after (ms, 0 = none)   2 document version   3 decision id   4 reserve
--       5 hold time (ms)   6 reason of a denial decided before ('' = none)   7 body of the event (JSON)
--       8 pricing (as in common.lua)   9 hash of the request when it has an idempotency key, else ''
--       10 number of counters   11 number of rate scopes
--       then for each counter: name, monthly|daily, start, end (ms), limit, execution limit
--       then for each rate scope: limits of minute, hour, day.   A limit of -1 is none.
-- Answers {'COLD'|'LATE'|'STALE'|'WRONG_PERIOD', now} having written nothing, or
--         {'ALLOWED'|'DENIED', now, reason, index of what denied (from 1, 0 = policy),
--          'spent:held:executions ...' per counter, 'minute:hour:day ...' per scope, retry after (ms), expires (ms)},
--         {'REPEATED', now, decision id, decided (ms), expires (ms)} when the idempotency key was allowed before,
--         {'REUSED', now} when the idempotency key was used for another request.
-- LATE also answers a decision id that is decided already: its caller has given up and gone another way.

local COUNTER_ARGS = 6
local FIRST_COUNTER = 12
local IDEMPOTENCY_MS = 86400000

local now = now_ms()
if is_late(now, tonumber(ARGV[1])) then
  return { 'LATE', now }
end

local id, reserve, hash = ARGV[3], tonumber(ARGV[4]), ARGV[9]
local counter_count, scope_count = tonumber(ARGV[10]), tonumber(ARGV[11])
local first_limit = FIRST_COUNTER + counter_count * COUNTER_ARGS
local fields = { 'epoch', 'doc' }
for at = FIRST_COUNTER, first_limit - 1, COUNTER_ARGS do
  local name, next_field = ARGV[at], #fields + 1
  fields[next_field] = name .. ':s'
  fields[next_field + 1] = name .. ':h'
  fields[next_field + 2] = name .. ':x'
end

local values = redis.call('HMGET', KEYS[1], unpack(fields))
if is_cold(values[1]) then
  return { 'COLD', now }
end
local installed, version = tonumber(values[2]), tonumber(ARGV[2])
if installed > version then
  return { 'STALE', now }
elseif installed < version then
  -- A newer document may count other things: its counters are worked out from the ledger first.
  return { 'COLD', now }
end
if hash ~= '' then
  local decided = redis.call('GET', KEYS[#KEYS])
  if decided then
    local words = split(decided)
    if words[1] ~= hash then
      return { 'REUSED', now }
    end
    return { 'REPEATED', now, words[2], tonumber(words[3]), tonumber(words[4]) }
  end
end
for at = FIRST_COUNTER, first_limit - 1, COUNTER_ARGS do
  if now < tonumber(ARGV[at + 2]) or now >= tonumber(ARGV[at + 3]) then
    return { 'WRONG_PERIOD', now }
  end
end
if sweep_due(now, 16) > 0 then
  values = redis.call('HMGET', KEYS[1], unpack(fields))
end

local reason, denied_by = ARGV[6], 0
local executions_reason, executions_denied_by = '', 0
local readings = {}
for i = 1, counter_count do
  local at = FIRST_COUNTER + (i - 1) * COUNTER_ARGS
  local spent, held, executions = values[i * 3] or '0', values[i * 3 + 1] or '0', values[i * 3 + 2] or '0'
  readings[i] = spent .. ':' .. held .. ':' .. executions
  local limit, executions_limit = tonumber(ARGV[at + 4]), tonumber(ARGV[at + 5])
  if reason == '' and limit >= 0 and tonumber(spent) + tonumber(held) + reserve > limit then
    reason, denied_by = 'budget_' .. ARGV[at + 1] .. '_cost', i
  end
  if executions_reason == '' and executions_limit >= 0 and tonumber(executions) + 1 > executions_limit then
    executions_reason, executions_denied_by = 'budget_' .. ARGV[at + 1] .. '_executions', i
  end
end
if reason == '' and executions_reason ~= '' then
  reason, denied_by = executions_reason, executions_denied_by
end

local scopes, usages = {}, {}
local wait = 0
local rate_reason, rate_denied_by = '', 0
for i = 1, scope_count do
  local key, at = KEYS[4 + i], first_limit + (i - 1) * 3
  local scope = read_scope(key, now)
  local limits = { tonumber(ARGV[at]), tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]) }
  local longest, full = scope_wait(key, scope, now, limits)
  if full ~= '' then
    if rate_reason == '' then
      rate_reason, rate_denied_by = full, i
    end
    wait = (wait == -1 or longest == -1) and -1 or math.max(wait, longest)
  end
  scopes[i], usages[i] = scope, scope_usage(scope)
end
if reason == '' and rate_reason ~= '' then
  reason, denied_by = rate_reason, rate_denied_by
end

local allowed = reason == ''
local expires = 0
if allowed then
  reason = 'allowed'
  expires = now + tonumber(ARGV[5])
end
if redis.call('HEXISTS', KEYS[2], id) == 1 then
  return { 'LATE', now }
end
local counted, rated = table.concat(readings, ' '), table.concat(usages, ' ')
redis.call('XADD', KEYS[4], '*', 'k', 'check', 'd', id, 't', integer(now), 'o', reason, 'i', denied_by,
  'c', counted, 'r', rated, 'e', integer(expires), 'w', integer(wait), 'b', ARGV[7])
if allowed then
  local record, changed = { 'H', ARGV[4], '0', ARGV[8] }, {}
  for i = 1, counter_count do
    local at = FIRST_COUNTER + (i - 1) * COUNTER_ARGS
    local name, executions = ARGV[at], tonumber(values[i * 3 + 2] or 0)
    changed[#changed + 1] = name .. ':h'
    changed[#changed + 1] = integer(tonumber(values[i * 3 + 1] or 0) + reserve)
    changed[#changed + 1] = name .. ':x'
    changed[#changed + 1] = integer(executions + 1)
    if executions == 0 then
      redis.call('ZADD', KEYS[3], integer(tonumber(ARGV[at + 3]) + ENDED_COUNTER_MS), 'p:' .. name)
    end
    record[FIRST_COUNTER_WORD + i - 1] = name
  end
  if counter_count > 0 then
    redis.call('HSET', KEYS[1], unpack(changed))
  end
  redis.call('HSET', KEYS[2], id, table.concat(record, ' '))
  redis.call('ZADD', KEYS[3], integer(expires), 'o:' .. id)
  for i = 1, scope_count do
    hit_scope(KEYS[4 + i], scopes[i])
  end
  if hash ~= '' then
    local decided = hash .. ' ' .. id .. ' ' .. integer(now) .. ' ' .. integer(expires)
    redis.call('SET', KEYS[#KEYS], decided, 'PX', IDEMPOTENCY_MS)
  end
end
return { allowed and 'ALLOWED' or 'DENIED', now, reason, denied_by, counted, rated, wait, expires }
