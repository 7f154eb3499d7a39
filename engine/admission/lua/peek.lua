-- Read counters and rate scopes; writes nothing.
--
-- KEYS  1-4 as in common.lua, 5.. one ring string for each rate scope
-- ARGV  1 number of counters, then for each its name, then for each rate scope: limits of minute, hour, day
-- Answers {'COLD', now}, {'SEEN', now, 'spent:held:executions ...', 'minute:hour:day ...', 'wait ...' per scope (ms)}.

local now = now_ms()
if is_cold(redis.call('HGET', KEYS[1], 'epoch')) then
  return { 'COLD', now }
end
local readings = {}
local first_limit = 2 + tonumber(ARGV[1])
for i = 2, first_limit - 1 do
  local name = ARGV[i]
  local values = redis.call('HMGET', KEYS[1], name .. ':s', name .. ':h', name .. ':x')
  readings[#readings + 1] = (values[1] or '0') .. ':' .. (values[2] or '0') .. ':' .. (values[3] or '0')
end
local usages, waits = {}, {}
for i = 5, #KEYS do
  local at = first_limit + (i - 5) * 3
  local scope = read_scope(KEYS[i], now)
  local limits = { tonumber(ARGV[at]), tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]) }
  usages[#usages + 1] = scope_usage(scope)
  waits[#waits + 1] = integer((scope_wait(KEYS[i], scope, now, limits)))
end
return { 'SEEN', now, table.concat(readings, ' '), table.concat(usages, ' '), table.concat(waits, ' ') }
