-- Shared by every script of the gate; put in front of each of them.
--
-- KEYS[1] counters  hash: epoch, doc, expired ('charge'|'release'), and for each counter <name>:s spent,
--                   <name>:h held, <name>:x executions; for denials without events of their own <name>:n how many and
--                   <name>:e their estimates, <name> being '<second (ms)>|<reason>|<what they are alike in>'
-- KEYS[2] holds     hash: epoch, and decision id -> "<state> <reserve> <charged> <pricing> <counter> <counter> ..."
--                   state: H held, S settled, X expired, C cancelled, D denied in an outage;
--                   pricing: provider,model,complexity,agent,time
-- KEYS[3] expiry    sorted set by milliseconds: o:<id> hold to expire, c:<id> closed hold to forget,
--                   p:<counter> ended counter to forget, d:<name> counted denials to tell, epoch:<epoch> at +inf
-- KEYS[4] events    stream
--
-- The first three carry one epoch. Amounts are integer micro-dollars, exact in a double up to 2^53.
-- The event is appended before anything else is written: whatever could make a write fail fails there.

local FIRST_COUNTER_WORD = 5
local CLOSED_HOLD_MS = 3600000
local IDEMPOTENCY_MS = 86400000
local ENDED_COUNTER_MS = 172800000
local SECOND_MS = 1000
local LARGEST_SUM = 9007199254740992

local format, floor = string.format, math.floor

-- Whole numbers as text. Not '%.0f': that takes ten times as long, and '%d' is exact for all that a double has exactly.
local function integer(number)
  return format('%d', number)
end

local function now_ms()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + floor(tonumber(time[2]) / 1000)
end

-- Whether counters, holds and expiry all carry the same epoch.
local function is_warm(counters_epoch, holds_epoch)
  return counters_epoch and counters_epoch == holds_epoch and redis.call('ZSCORE', KEYS[3], 'epoch:' .. counters_epoch)
end

local function is_cold(counters_epoch)
  return not is_warm(counters_epoch, redis.call('HGET', KEYS[2], 'epoch'))
end

local function is_late(now, not_after)
  return not_after > 0 and now > not_after
end

local function split(text)
  local words = {}
  for word in string.gmatch(text, '%S+') do
    words[#words + 1] = word
  end
  return words
end

-- Close a hold (its words from KEYS[2]): release what it still holds, charge `amount`, remember it for an hour; one
-- that was cancelled for as long as an idempotency key may name it.
local function close_hold(id, words, state, amount, now)
  local reserve = tonumber(words[2])
  local charged = tonumber(words[3])
  for i = FIRST_COUNTER_WORD, #words do
    if words[1] == 'H' then
      redis.call('HINCRBY', KEYS[1], words[i] .. ':h', integer(-reserve))
    end
    if amount ~= charged then
      redis.call('HINCRBY', KEYS[1], words[i] .. ':s', integer(amount - charged))
    end
    if state == 'C' then
      redis.call('HINCRBY', KEYS[1], words[i] .. ':x', -1)
    end
  end
  words[1] = state
  words[3] = integer(amount)
  redis.call('HSET', KEYS[2], id, table.concat(words, ' '))
  redis.call('ZREM', KEYS[3], 'o:' .. id)
  redis.call('ZADD', KEYS[3], integer(now + (state == 'C' and IDEMPOTENCY_MS or CLOSED_HOLD_MS)), 'c:' .. id)
end

-- Counters of a period long over come back for one change only.
local function keep_a_while(words, now)
  for i = FIRST_COUNTER_WORD, #words do
    redis.call('ZADD', KEYS[3], 'NX', integer(now + ENDED_COUNTER_MS), 'p:' .. words[i])
  end
end

-- An expired hold is charged at its reserve, or released when the document says so.
local function expire_hold(id, now)
  local record = redis.call('HGET', KEYS[2], id)
  if not record then
    redis.call('ZREM', KEYS[3], 'o:' .. id)
    return
  end
  local words = split(record)
  local amount = redis.call('HGET', KEYS[1], 'expired') == 'release' and 0 or tonumber(words[2])
  redis.call('XADD', KEYS[4], '*', 'k', 'expired', 'd', id, 't', integer(now), 'm', integer(amount), 'h', record)
  close_hold(id, words, 'X', amount, now)
end

-- Count a denial with those like it in its second; the count becomes one event when the second is over.
local function count_denial(now, reason, alike, estimate)
  local second = floor(now / SECOND_MS) * SECOND_MS
  local name = integer(second) .. '|' .. reason .. '|' .. alike
  redis.call('HINCRBY', KEYS[1], name .. ':n', 1)
  -- Beyond what a double has exactly, estimates stay where they are: the denials must be counted all the same.
  if tonumber(redis.call('HGET', KEYS[1], name .. ':e') or 0) + estimate <= LARGEST_SUM then
    redis.call('HINCRBY', KEYS[1], name .. ':e', estimate)
  end
  redis.call('ZADD', KEYS[3], integer(second + SECOND_MS), 'd:' .. name)
end

local function tell_denials(name, calls, estimate)
  local second, rest = string.match(name, '^(%d+)|(.*)$')
  redis.call('XADD', KEYS[4], '*', 'k', 'denied_many', 'd', '', 't', second, 'n', calls, 'm', estimate, 'a', rest)
end

-- Do what is due in KEYS[3], at most `most` entries.
local function sweep_due(now, most)
  local due = redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', integer(now), 'LIMIT', 0, most)
  for _, member in ipairs(due) do
    local kind = string.sub(member, 1, 2)
    local name = string.sub(member, 3)
    if kind == 'o:' then
      expire_hold(name, now)
    else
      if kind == 'c:' then
        redis.call('HDEL', KEYS[2], name)
      elseif kind == 'd:' then
        local counted = redis.call('HMGET', KEYS[1], name .. ':n', name .. ':e')
        tell_denials(name, counted[1], counted[2] or 0)
        redis.call('HDEL', KEYS[1], name .. ':n', name .. ':e')
      else
        redis.call('HDEL', KEYS[1], name .. ':s', name .. ':h', name .. ':x')
      end
      redis.call('ZREM', KEYS[3], member)
    end
  end
  return #due
end
