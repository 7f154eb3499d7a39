-- Install an organization's state, worked out from the ledger, under a new epoch; only while the stream holds
-- nothing that the ledger has not.
--
-- KEYS  1-4 as in common.lua
-- ARGV  1 cursor of the ledger: milliseconds   2 its sequence number   3 epoch   4 document version
--       5 what becomes of expired holds: charge|release
--       6 number of counters, then for each: name, spent, held, executions, end (ms)
--       then for each open hold: decision id, record, expires (ms)
-- Answers {'INSTALLED'|'UNDRAINED'|'OUTDATED', now}; OUTDATED: a state of this epoch or a later one came first.

local now = now_ms()
local cursor_ms, cursor_seq = tonumber(ARGV[1]), tonumber(ARGV[2])
local function is_after_cursor(id)
  local ms, seq = string.match(id, '(%d+)-(%d+)')
  ms, seq = tonumber(ms), tonumber(seq)
  return ms > cursor_ms or (ms == cursor_ms and seq > cursor_seq)
end

local newest = redis.call('XREVRANGE', KEYS[4], '+', '-', 'COUNT', 1)[1]
if newest and is_after_cursor(newest[1]) then
  return { 'UNDRAINED', now }
end

local epoch = ARGV[3]
if tonumber(redis.call('HGET', KEYS[2], 'epoch') or 0) >= tonumber(epoch) then
  return { 'OUTDATED', now }
end
-- Denials that are counted but not told yet outlive the state that they were counted in.
local denials = {}
local before = redis.call('HGETALL', KEYS[1])
for i = 1, #before, 2 do
  local name = string.match(before[i], '^(.*):n$')
  if name then
    denials[#denials + 1] = { name, before[i + 1], redis.call('HGET', KEYS[1], name .. ':e') or 0 }
  end
end
table.sort(denials, function(one, other) return one[1] < other[1] end)
redis.call('DEL', KEYS[1], KEYS[2], KEYS[3])
redis.call('HSET', KEYS[1], 'epoch', epoch, 'doc', ARGV[4], 'expired', ARGV[5])
redis.call('HSET', KEYS[2], 'epoch', epoch)
redis.call('ZADD', KEYS[3], '+inf', 'epoch:' .. epoch)
local at = 7
for _ = 1, tonumber(ARGV[6]) do
  local name = ARGV[at]
  redis.call('HSET', KEYS[1], name .. ':s', ARGV[at + 1], name .. ':h', ARGV[at + 2], name .. ':x', ARGV[at + 3])
  redis.call('ZADD', KEYS[3], integer(tonumber(ARGV[at + 4]) + ENDED_COUNTER_MS), 'p:' .. name)
  at = at + 5
end
while ARGV[at] do
  redis.call('HSET', KEYS[2], ARGV[at], ARGV[at + 1])
  redis.call('ZADD', KEYS[3], ARGV[at + 2], 'o:' .. ARGV[at])
  at = at + 3
end
-- Event ids go on after the ledger's cursor, even when this server is new or its clock is behind.
local mark = ARGV[1] .. '-' .. integer(cursor_seq + 1)
local behind = cursor_ms + cursor_seq > 0
if redis.call('EXISTS', KEYS[4]) == 1 then
  local info = redis.call('XINFO', 'STREAM', KEYS[4])
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then
      behind = behind and not is_after_cursor(info[i + 1])
    end
  end
end
if behind then
  redis.call('XADD', KEYS[4], mark, 'k', 'mark')
  redis.call('XTRIM', KEYS[4], 'MAXLEN', 0)
end
for _, counted in ipairs(denials) do
  tell_denials(unpack(counted))
end
return { 'INSTALLED', now }
