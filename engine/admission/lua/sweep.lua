-- Expire holds that are due and forget closed ones.
--
-- KEYS  1-4 as in common.lua
-- ARGV  1 at most so many
-- Answers {'COLD', now}, {'SWEPT', now, how many, installed document version}.

local now = now_ms()
if is_cold(redis.call('HGET', KEYS[1], 'epoch')) then
  return { 'COLD', now }
end
return { 'SWEPT', now, sweep_due(now, tonumber(ARGV[1])), tonumber(redis.call('HGET', KEYS[1], 'doc') or 0) }
