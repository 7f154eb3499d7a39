-- Decide one call and, when it may happen, hold its reserve and count it: all or nothing, in one step.
--
-- KEYS  1-4 as in common.lua, 5.. one ring string for each rate scope
-- ARGV  1 document version   2 not-after (ms, 0 = none)   3 decision id   4 reserve
--       5 hold time (ms)   6 reason of a denial decided before ('' = none)   7 body of the event (JSON)
--       8 pricing (as in common.lua)   9 number of counters, then for each: name, monthly|daily, start, end (ms), limit, execution limit
--       then for each rate scope: limits of minute, hour, day.   A limit of -1 is none.
-- Answers {'COLD'|'LATE'|'STALE'|'WRONG_PERIOD', now} having written nothing, or
--         {'ALLOWED'|'DENIED', now, reason, index of what denied (from 1, 0 = policy),
--          'spent:held:executions ...' per counter, 'minute:hour:day ...' per scope, retry after (ms), expires (ms)}

local now = now_ms()
if is_late(now, tonumber(ARGV[2])) then
  return { 'LATE', now }
end

local FIRST_COUNTER = 10
local COUNTER_ARGS = 6
local counters = {}
local fields = { 'epoch', 'doc' }
for i = 1, tonumber(ARGV[9]) do
  local at = FIRST_COUNTER + (i - 1) * COUNTER_ARGS
  local name = ARGV[at]
  counters[i] = {
    name = name,
    period = ARGV[at + 1],
    starts = tonumber(ARGV[at + 2]),
    ends = tonumber(ARGV[at + 3]),
    limit = tonumber(ARGV[at + 4]),
    executions_limit = tonumber(ARGV[at + 5]),
  }
  fields[#fields + 1] = name .. ':s'
  fields[#fields + 1] = name .. ':h'
  fields[#fields + 1] = name .. ':x'
end

local values = redis.call('HMGET', KEYS[1], unpack(fields))
if is_cold(values[1]) then
  return { 'COLD', now }
end
local installed = tonumber(values[2])
local version = tonumber(ARGV[1])
if installed > version then
  return { 'STALE', now }
elseif installed < version then
  -- A newer document may count other things: its counters are worked out from the ledger first.
  return { 'COLD', now }
end
for _, counter in ipairs(counters) do
  if now < counter.starts or now >= counter.ends then
    return { 'WRONG_PERIOD', now }
  end
end
if sweep_due(now, 16) > 0 then
  values = redis.call('HMGET', KEYS[1], unpack(fields))
end

local reserve = tonumber(ARGV[4])
local reason = ARGV[6]
local denied_by = 0
local readings = {}
for i, counter in ipairs(counters) do
  counter.spent = tonumber(values[i * 3] or 0)
  counter.held = tonumber(values[i * 3 + 1] or 0)
  counter.executions = tonumber(values[i * 3 + 2] or 0)
  readings[i] = integer(counter.spent) .. ':' .. integer(counter.held) .. ':' .. integer(counter.executions)
end
if reason == '' then
  for i, counter in ipairs(counters) do
    if counter.limit >= 0 and counter.spent + counter.held + reserve > counter.limit then
      reason, denied_by = 'budget_' .. counter.period .. '_cost', i
      break
    end
  end
end
if reason == '' then
  for i, counter in ipairs(counters) do
    if counter.executions_limit >= 0 and counter.executions + 1 > counter.executions_limit then
      reason, denied_by = 'budget_' .. counter.period .. '_executions', i
      break
    end
  end
end

local scopes = {}
local usages = {}
local wait = 0
local rate_reason, rate_denied_by = '', 0
local first_limit = FIRST_COUNTER + #counters * COUNTER_ARGS
for i = 5, #KEYS do
  local scope = read_scope(KEYS[i], now)
  local used = {}
  for j, ring in ipairs(RINGS) do
    local newest, current, total = unpack(scope.rings[j])
    local limit = tonumber(ARGV[first_limit + (i - 5) * 3 + j - 1])
    used[j] = integer(total)
    if limit >= 0 and total + 1 > limit then
      if rate_reason == '' then
        rate_reason, rate_denied_by = ring.name, i - 4
      end
      local scope_wait = limit == 0 and -1 or ring_wait(scope.packed, ring, newest, current, now, total + 1 - limit)
      wait = (wait == -1 or scope_wait == -1) and -1 or math.max(wait, scope_wait)
    end
  end
  scopes[#scopes + 1] = scope
  usages[#usages + 1] = table.concat(used, ':')
end
if reason == '' and rate_reason ~= '' then
  reason, denied_by = rate_reason, rate_denied_by
end

local allowed = reason == ''
local expires = 0
if allowed then
  reason = 'allowed'
  expires = now + tonumber(ARGV[5])
  local record = { 'H', ARGV[4], '0', ARGV[8] }
  for i, counter in ipairs(counters) do
    redis.call('HINCRBY', KEYS[1], counter.name .. ':h', ARGV[4])
    if redis.call('HINCRBY', KEYS[1], counter.name .. ':x', 1) == 1 then
      redis.call('ZADD', KEYS[3], integer(counter.ends + ENDED_COUNTER_MS), 'p:' .. counter.name)
    end
    record[#record + 1] = counter.name
  end
  redis.call('HSET', KEYS[2], ARGV[3], table.concat(record, ' '))
  redis.call('ZADD', KEYS[3], integer(expires), 'o:' .. ARGV[3])
  for _, scope in ipairs(scopes) do
    hit_scope(scope)
  end
end
local counted = table.concat(readings, ' ')
local rated = table.concat(usages, ' ')
redis.call('XADD', KEYS[4], '*', 'k', 'check', 'd', ARGV[3], 't', integer(now), 'o', reason, 'i', denied_by,
  'c', counted, 'r', rated, 'e', integer(expires), 'w', integer(wait), 'b', ARGV[7])
return { allowed and 'ALLOWED' or 'DENIED', now, reason, denied_by, counted, rated, wait, expires }
