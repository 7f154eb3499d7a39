-- Rolling windows of one rate scope, packed in one string: three rings of sub-buckets
-- (61 x 1 s, 61 x 1 min, 97 x 15 min). A sub-bucket counts until it lies wholly outside its window, so the
-- limit is never passed in any rolling window; capacity comes back at most one sub-bucket late.
--
-- String, all numbers 4-byte big-endian: for each ring the newest sub-bucket's number, the running total and the
-- newest sub-bucket's own count; then the slots of the sub-buckets before it. A hit in the newest sub-bucket thus
-- rewrites 36 bytes only. The slot of the newest sub-bucket holds what lay there one turn earlier, and left long ago.

local RINGS = {
  { name = 'rate_per_minute', width = 1000, slots = 61, first = 36 },
  { name = 'rate_per_hour', width = 60000, slots = 61, first = 280 },
  { name = 'rate_per_day', width = 900000, slots = 97, first = 524 },
}
local HEADER = '>I4I4I4I4I4I4I4I4I4'
local CURRENT = 9
local HEADER_BYTES = 36
local RING_BYTES = 912
local RING_TTL_MS = 90000000

local function numbers_in(packed)
  local numbers = { struct.unpack('>' .. string.rep('I4', #packed / 4), packed) }
  -- The last one says where unpacking ended.
  numbers[#numbers] = nil
  return numbers
end

-- The slots of sub-buckets `from` to `to`, at most one turn of the ring, as one packed string.
local function slots_between(key, ring, from, to)
  local first, last = from % ring.slots, to % ring.slots
  local base = ring.first
  if first <= last then
    return redis.call('GETRANGE', key, base + first * 4, base + last * 4 + 3)
  end
  return redis.call('GETRANGE', key, base + first * 4, base + ring.slots * 4 - 1)
    .. redis.call('GETRANGE', key, base, base + last * 4 + 3)
end

local function write_slots(key, ring, from, packed)
  local first = from % ring.slots
  local before_end = (ring.slots - first) * 4
  redis.call('SETRANGE', key, ring.first + first * 4, string.sub(packed, 1, before_end))
  if #packed > before_end then
    redis.call('SETRANGE', key, ring.first, string.sub(packed, before_end + 1))
  end
end

-- Read a scope at `now`, as a flat list: for ring j at j * 3 - 2 the newest sub-bucket, the requests in the window and
-- the newest sub-bucket's count; at CURRENT + j the sub-bucket of `now`. A clock that went back stays at the newest.
local function read_scope(key, now)
  local packed = redis.call('GETRANGE', key, 0, HEADER_BYTES - 1)
  local scope
  if #packed < HEADER_BYTES then
    scope = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, fresh = true }
  else
    scope = { struct.unpack(HEADER, packed) }
  end
  for j = 1, 3 do
    local ring, at = RINGS[j], j * 3 - 2
    local newest, current = scope[at], floor(now / ring.width)
    if current <= newest then
      current = newest
    elseif current - newest >= ring.slots then
      scope[at + 1] = 0
    elseif scope[at + 1] > 0 then
      local total = scope[at + 1]
      for _, left in ipairs(numbers_in(slots_between(key, ring, newest + 1, current))) do
        total = total - left
      end
      scope[at + 1] = total
    end
    scope[CURRENT + j] = current
  end
  return scope
end

-- 'minute:hour:day', the requests in each window.
local function scope_usage(scope)
  return format('%d:%d:%d', scope[2], scope[5], scope[8])
end

-- Milliseconds from `now` until `excess` requests have left the window of ring j.
local function ring_wait(key, scope, j, now, excess)
  local ring, newest = RINGS[j], scope[j * 3 - 2]
  local oldest = scope[CURRENT + j] - ring.slots + 1
  local left = 0
  if oldest < newest then
    for i, count in ipairs(numbers_in(slots_between(key, ring, oldest, newest - 1))) do
      left = left + count
      if left >= excess then
        return (oldest + i - 1 + ring.slots) * ring.width - now
      end
    end
  end
  -- What is missing lies in the newest sub-bucket.
  return (newest + ring.slots) * ring.width - now
end

-- Milliseconds until a request would pass the limits of minute, hour and day, which stand in `limits` from `first` on
-- (-1 for none); -1 when no waiting helps. Then the name of the first window that is full now, '' for none.
local function scope_wait(key, scope, now, limits, first)
  local wait, full = 0, ''
  for j = 1, 3 do
    local limit, total = limits[first + j - 1], scope[j * 3 - 1]
    if limit >= 0 and total + 1 > limit then
      full = full == '' and RINGS[j].name or full
      if limit == 0 then
        wait = -1
      elseif wait >= 0 then
        wait = math.max(wait, ring_wait(key, scope, j, now, total + 1 - limit))
      end
    end
  end
  return wait, full
end

local function write_header(key, scope)
  redis.call('SETRANGE', key, 0, struct.pack(HEADER, unpack(scope, 1, 9)))
end

local function make_room(key, scope)
  if scope.fresh then
    redis.call('SET', key, string.rep('\0', RING_BYTES))
  end
  if scope.fresh or scope[CURRENT + 3] > scope[7] then
    redis.call('PEXPIRE', key, RING_TTL_MS)
  end
end

-- Count one request more in ring j, in its current sub-bucket.
local function hit_ring(key, scope, j)
  local at, current = j * 3 - 2, scope[CURRENT + j]
  local passed = current - scope[at]
  if passed == 0 then
    scope[at + 2] = scope[at + 2] + 1
  else
    local ring = RINGS[j]
    if passed >= ring.slots then
      write_slots(key, ring, 0, string.rep('\0', ring.slots * 4))
    else
      write_slots(key, ring, scope[at], struct.pack('>I4', scope[at + 2]) .. string.rep('\0', (passed - 1) * 4))
    end
    scope[at] = current
    scope[at + 2] = 1
  end
  scope[at + 1] = scope[at + 1] + 1
end

-- Count one request more; `scope` is as read at the same moment.
local function hit_scope(key, scope)
  make_room(key, scope)
  for j = 1, 3 do
    hit_ring(key, scope, j)
  end
  write_header(key, scope)
end

-- Count a request that was admitted earlier, at `past`, while Redis was away; `scope` is as read at `past`.
local function hit_scope_late(key, scope, past)
  make_room(key, scope)
  for j, ring in ipairs(RINGS) do
    local number, newest = floor(past / ring.width), scope[j * 3 - 2]
    if number >= newest then
      hit_ring(key, scope, j)
    elseif newest - number < ring.slots then
      local count = numbers_in(slots_between(key, ring, number, number))[1]
      write_slots(key, ring, number, struct.pack('>I4', count + 1))
      scope[j * 3 - 1] = scope[j * 3 - 1] + 1
    end
  end
  write_header(key, scope)
end
