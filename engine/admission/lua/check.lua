-- Decide one call and, when it may happen, hold its reserve and count it: all or nothing, in one step.
--
-- KEYS  1-4 as in common.lua, 5.. one ring string for each rate scope, then the idempotency key when ARGV[9] is given
-- ARGV  1 not-after (ms, 0 = none)   2 document version   3 decision id   4 reserve
--       5 hold time (ms)   6 reason of a denial decided before ('' = none)   7 body of the event (JSON)
--       8 pricing (as in common.lua)   9 hash of the request when it has an idempotency key, else ''
--       10 the plan's numbers, packed as big-endian doubles: number of counters, number of rate scopes, the instants
--          from which and until before which the plan holds (ms); for each counter its period (1 month, 2 day), the
--          period's end (ms), limit, execution limit; for each rate scope limits of minute, hour, day. A limit of -1 is
--          none.
--       11 not-before (ms): the call was prepared for no earlier instant
--       12 '<cap> <estimate> <what its denial is alike in>': with so many events in the stream (0 = any number) a
--          denial gets no event of its own, but is counted with those like it
--       13.. for each counter its name
-- Answers {'COLD'|'LATE'|'STALE'|'WRONG_PERIOD', now} having written nothing,
--         {'ALLOWED'|'DENIED', now, answer}; answer is '<reason> <index of what denied, from 1, 0 = policy>
--          <retry after (ms)> <expires (ms)>|<spent:held:executions> per counter|<minute:hour:day> per scope',
--         {'REPEATED', now, decision id, decided (ms), expires (ms)} when the idempotency key was allowed before
--         and not cancelled,
--         {'REUSED', now} when the idempotency key was used for another request.
-- LATE also answers a decision id that is decided already: its caller has given up and gone another way.

local FIRST_COUNTER = 5
local COUNTER_NUMBERS = 4
local FIRST_NAME = 13
local PERIODS = { 'monthly', 'daily' }

local now = now_ms()
if is_late(now, tonumber(ARGV[1])) then
  return { 'LATE', now }
end
if now < tonumber(ARGV[11]) then
  return { 'WRONG_PERIOD', now }
end

local id, reserve, hash, packed_plan = ARGV[3], tonumber(ARGV[4]), ARGV[9], ARGV[10]
local plan = { struct.unpack('>' .. string.rep('d', #packed_plan / 8), packed_plan) }
local counter_count, scope_count = plan[1], plan[2]
local fields = { 'epoch', 'doc' }
for i = 1, counter_count do
  local name, field = ARGV[FIRST_NAME + i - 1], i * 3
  fields[field], fields[field + 1], fields[field + 2] = name .. ':s', name .. ':h', name .. ':x'
end

local values = redis.call('HMGET', KEYS[1], unpack(fields))
local known = redis.call('HMGET', KEYS[2], 'epoch', id)
if not is_warm(values[1], known[1]) then
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
    local decided_hold = redis.call('HGET', KEYS[2], words[2])
    -- A cancelled call never left: its key is free again.
    if not decided_hold or split(decided_hold)[1] ~= 'C' then
      return { 'REPEATED', now, words[2], tonumber(words[3]), tonumber(words[4]) }
    end
  end
end
if known[2] then
  return { 'LATE', now }
end
-- Outside of it another month or day is counted in, or another limit is in force.
if now < plan[3] or now >= plan[4] then
  return { 'WRONG_PERIOD', now }
end
if sweep_due(now, 16) > 0 then
  values = redis.call('HMGET', KEYS[1], unpack(fields))
end

local reason, denied_by = ARGV[6], 0
local executions_reason, executions_denied_by = '', 0
local readings = {}
for i = 1, counter_count do
  local at, field = FIRST_COUNTER + (i - 1) * COUNTER_NUMBERS, i * 3
  local spent, held, executions = values[field] or '0', values[field + 1] or '0', values[field + 2] or '0'
  readings[i] = spent .. ':' .. held .. ':' .. executions
  local limit, executions_limit = plan[at + 2], plan[at + 3]
  if reason == '' and limit >= 0 and spent + held + reserve > limit then
    reason, denied_by = 'budget_' .. PERIODS[plan[at]] .. '_cost', i
  end
  if executions_reason == '' and executions_limit >= 0 and executions + 1 > executions_limit then
    executions_reason, executions_denied_by = 'budget_' .. PERIODS[plan[at]] .. '_executions', i
  end
end
if reason == '' and executions_reason ~= '' then
  reason, denied_by = executions_reason, executions_denied_by
end

local first_limit = FIRST_COUNTER + counter_count * COUNTER_NUMBERS
local scopes, usages = {}, {}
local wait = 0
local rate_reason, rate_denied_by = '', 0
for i = 1, scope_count do
  local key = KEYS[4 + i]
  local scope = read_scope(key, now)
  local longest, full = scope_wait(key, scope, now, plan, first_limit + (i - 1) * 3)
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
  reason, expires = 'allowed', now + tonumber(ARGV[5])
end
local answer = format('%s %d %d %d|', reason, denied_by, wait, expires)
  .. table.concat(readings, ' ') .. '|' .. table.concat(usages, ' ')
local cap, estimate, alike = string.match(ARGV[12], '^(%d+) (%d+) (.*)$')
cap = tonumber(cap)
if allowed or cap == 0 or redis.call('XLEN', KEYS[4]) < cap then
  redis.call('XADD', KEYS[4], '*', 'k', 'check', 'd', id, 't', now, 'a', answer, 'b', ARGV[7])
else
  count_denial(now, reason, alike, estimate)
end
if allowed then
  local record, changed = { 'H', ARGV[4], '0', ARGV[8] }, {}
  for i = 1, counter_count do
    local name, field = ARGV[FIRST_NAME + i - 1], i * 3
    local executions = tonumber(values[field + 2] or 0)
    record[FIRST_COUNTER_WORD + i - 1] = name
    changed[i * 4 - 3], changed[i * 4 - 2] = fields[field + 1], (values[field + 1] or 0) + reserve
    changed[i * 4 - 1], changed[i * 4] = fields[field + 2], executions + 1
    if executions == 0 then
      local ends = plan[FIRST_COUNTER + 1 + (i - 1) * COUNTER_NUMBERS]
      redis.call('ZADD', KEYS[3], integer(ends + ENDED_COUNTER_MS), 'p:' .. name)
    end
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
return { allowed and 'ALLOWED' or 'DENIED', now, answer }
