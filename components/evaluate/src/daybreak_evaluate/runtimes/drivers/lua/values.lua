-- Plain data between the test's process and the answer's: a letter for the kind, then the value. The two speak by what
-- were standard input and output when they began; what the program prints goes nowhere.
local values = {}
local requests, replies = io.stdin, io.stdout
replies:setvbuf('full')
local MAX_DEPTH, MAX_BYTES = 200, 64 << 20

local function put(parts, value, depth)
  if depth > MAX_DEPTH then error('nested too deeply, or within itself', 0) end
  local kind = type(value)
  if kind == 'nil' then parts[#parts + 1] = 'n'
  elseif kind == 'boolean' then parts[#parts + 1] = value and 't' or 'f'
  elseif kind == 'number' then
    if math.type(value) == 'integer' then parts[#parts + 1] = string.format('i%d;', value)
    elseif value ~= value then parts[#parts + 1] = 'N'
    elseif value == math.huge then parts[#parts + 1] = 'P'
    elseif value == -math.huge then parts[#parts + 1] = 'M'
    else parts[#parts + 1] = string.format('d%.17g;', value) end
  elseif kind == 'string' then parts[#parts + 1] = string.format('s%d;', #value) .. value
  elseif kind == 'table' then
    local count, inner = 0, {}
    for key, each in next, value do
      put(inner, key, depth + 1)
      put(inner, each, depth + 1)
      count = count + 1
    end
    parts[#parts + 1] = string.format('T%d;', count) .. table.concat(inner)
  else error('a ' .. kind .. ' is not plain data', 0) end
end

function values.encode(...)
  local parts = {}
  local count = select('#', ...)
  parts[1] = string.format('i%d;', count)
  for index = 1, count do put(parts, (select(index, ...)), 0) end
  return table.concat(parts)
end

local function take(text, place)
  local kind = text:sub(place, place)
  if kind == 'n' then return nil, place + 1 end
  if kind == 't' then return true, place + 1 end
  if kind == 'f' then return false, place + 1 end
  if kind == 'N' then return 0 / 0, place + 1 end
  if kind == 'P' then return math.huge, place + 1 end
  if kind == 'M' then return -math.huge, place + 1 end
  local stop = text:find(';', place, true)
  local word = text:sub(place + 1, stop - 1)
  if kind == 'i' then return math.tointeger(tonumber(word)), stop + 1 end
  if kind == 'd' then return tonumber(word) + 0.0, stop + 1 end
  if kind == 's' then
    local size = tonumber(word)
    return text:sub(stop + 1, stop + size), stop + 1 + size
  end
  if kind == 'T' then
    local result, key, each = {}, nil, nil
    place = stop + 1
    for _ = 1, tonumber(word) do
      key, place = take(text, place)
      each, place = take(text, place)
      result[key] = each
    end
    return result, place
  end
  error('not plain data', 0)
end

function values.decode(text)
  local count, place = take(text, 1)
  local found = { n = count }
  for index = 1, count do found[index], place = take(text, place) end
  return found
end

function values.send(kind, text)
  replies:write(string.pack('<I4', #text + 1), kind, text)
  replies:flush()
end

function values.receive()
  local head = requests:read(4)
  if not head or #head < 4 then return nil end
  local size = string.unpack('<I4', head)
  if size < 1 or size > MAX_BYTES then return nil end
  local data = requests:read(size)
  if not data or #data < size then return nil end
  return data:sub(1, 1), data:sub(2)
end

return values
