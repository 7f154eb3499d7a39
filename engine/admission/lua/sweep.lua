-- Expire holds that are due and forget closed ones.
--
-- KEYS  1-4 as in common.lua
-- ARGV  1 at most so many
-- Answers {'COLD', now}, {'SWEPT', now, how many, installed document version, epoch}.

local now = now_ms()
local epoch = redis.call('HGET', KEYS[1], 'epoch')
if is_cold(epoch) then
  return { 'COLD', now }
end
local version = tonumber(redis.call('HGET', KEYS[1], 'doc') or 0)
return { 'SWEPT', now, sweep_due(now, tonumber(ARGV[1])), version, tonumber(epoch) }
