-- Read one hold; writes nothing.
--
-- KEYS  1-4 as in common.lua
-- ARGV  1 decision id
-- Answers {'HOLD', now, its record, or '' when it is not known}.

return { 'HOLD', now_ms(), redis.call('HGET', KEYS[2], ARGV[1]) or '' }
