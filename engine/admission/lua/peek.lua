-- Read counters and rate scopes; writes nothing.
--
-- KEYS  1-4 as in common.lua, 5.. one ring string for each rate scope
-- ARGV  1 the plan's numbers, packed as in check.lua   2.. for each counter its name
-- Answers {'COLD', now}, {'SEEN', now, 'spent:held:executions ...', 'minute:hour:day ...', 'wait ...' per scope (ms)}.

local FIRST_NAME = 2
local FIRST_COUNTER = 5
local COUNTER_NUMBERS = 4

local now = now_ms()
if is_cold(redis.call('HGET', KEYS[1], 'epoch')) then
  return { 'COLD', now }
end
local plan = { struct.unpack('>' .. string.rep('d', #ARGV[1] / 8), ARGV[1]) }
local readings = {}
for i = 1, plan[1] do
  local name = ARGV[FIRST_NAME + i - 1]
  local values = redis.call('HMGET', KEYS[1], name .. ':s', name .. ':h', name .. ':x')
  readings[i] = (values[1] or '0') .. ':' .. (values[2] or '0') .. ':' .. (values[3] or '0')
end
local first_limit = FIRST_COUNTER + plan[1] * COUNTER_NUMBERS
local usages, waits = {}, {}
for i = 1, plan[2] do
  local key = KEYS[4 + i]
  local scope = read_scope(key, now)
  usages[i] = scope_usage(scope)
  waits[i] = integer((scope_wait(key, scope, now, plan, first_limit + (i - 1) * 3)))
end
return { 'SEEN', now, table.concat(readings, ' '), table.concat(usages, ' '), table.concat(waits, ' ') }
