-- Rolling windows of one rate scope, packed in one string: three rings of sub-buckets
-- (61 x 1 s, 61 x 1 min, 97 x 15 min). A sub-bucket counts until it lies wholly outside its window, so the
-- limit is never passed in any rolling window; capacity comes back at most one sub-bucket late.
--
-- String: for each ring (newest sub-bucket's number, running total), then its slots; all 4-byte big-endian.

local RINGS = {
  { name = 'rate_per_minute', width = 1000, slots = 61, header = 0, first = 24 },
  { name = 'rate_per_hour', width = 60000, slots = 61, header = 8, first = 268 },
  { name = 'rate_per_day', width = 900000, slots = 97, header = 16, first = 512 },
}
local RING_BYTES = 900
local RING_TTL_MS = 90000000

local function slot_value(packed, ring, number)
  return (struct.unpack('>I4', packed, ring.first + (number % ring.slots) * 4 + 1))
end

-- The ring's newest sub-bucket and total at `now`; a clock that went back stays at the newest.
local function ring_at(packed, ring, now)
  local newest, total = struct.unpack('>I4I4', packed, ring.header + 1)
  local current = math.max(newest, math.floor(now / ring.width))
  if current - newest >= ring.slots then
    return newest, current, 0
  end
  for number = newest + 1, current do
    total = total - slot_value(packed, ring, number)
  end
  return newest, current, total
end

-- Milliseconds until `excess` requests have left the window.
local function ring_wait(packed, ring, newest, current, now, excess)
  local left = 0
  for number = math.max(current - ring.slots + 1, 0), newest do
    left = left + slot_value(packed, ring, number)
    if left >= excess then
      return (number + ring.slots) * ring.width - now
    end
  end
  return -1
end

-- The bytes of one ring's slots, moved on to `current` and counting one request more.
local function ring_slots_after_hit(packed, ring, newest, current)
  local slots = string.sub(packed, ring.first + 1, ring.first + ring.slots * 4)
  local stale = math.min(current - newest, ring.slots)
  local start = (current - stale + 1) % ring.slots
  local tail = math.min(stale, ring.slots - start)
  if stale > 0 then
    slots = string.sub(slots, 1, start * 4) .. string.rep('\0', tail * 4) .. string.sub(slots, (start + tail) * 4 + 1)
    slots = string.rep('\0', (stale - tail) * 4) .. string.sub(slots, (stale - tail) * 4 + 1)
  end
  local at = (current % ring.slots) * 4
  local count = struct.unpack('>I4', slots, at + 1) + 1
  return string.sub(slots, 1, at) .. struct.pack('>I4', count) .. string.sub(slots, at + 5)
end

-- Read a scope: its packed string and, for each ring, {newest, current, total}.
local function read_scope(key, now)
  local packed = redis.call('GET', key)
  if not packed or #packed ~= RING_BYTES then
    packed = string.rep('\0', RING_BYTES)
  end
  local rings = {}
  for i, ring in ipairs(RINGS) do
    rings[i] = { ring_at(packed, ring, now) }
  end
  return { key = key, packed = packed, rings = rings }
end

local function hit_scope(scope)
  local headers = {}
  local slots = {}
  for i, ring in ipairs(RINGS) do
    local newest, current, total = unpack(scope.rings[i])
    headers[i] = struct.pack('>I4I4', current, total + 1)
    slots[i] = ring_slots_after_hit(scope.packed, ring, newest, current)
  end
  redis.call('SET', scope.key, table.concat(headers) .. table.concat(slots), 'PX', RING_TTL_MS)
end
