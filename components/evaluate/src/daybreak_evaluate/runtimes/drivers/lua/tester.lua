-- The test's side: runs the test with stand-ins for the answer's functions. Nothing of the answer runs here.
package.path = '/job/?.lua;' .. package.path
local values = require('values')
io.output(io.stderr)
print = function(...) io.stderr:write(table.concat({ ... }, '\t', 1, 0), '\n') end

local function fail(message, status)
  io.stderr:write(tostring(message):sub(1, 4000), '\n')
  os.exit(status or 1, false)
end

local function hear()
  local kind, text = values.receive()
  if not kind then fail('the program ended before its test was over', 3) end
  return kind, text
end

local kind, problem = hear()
if kind == 'S' then fail(problem, 2) elseif kind ~= 'L' then fail(problem, 4) end
local guarded = io.open('/job/guarded') ~= nil -- what the language has stays what it is
local function stand_in(name)
  return function(...)
    values.send('C', values.encode(name, ...))
    local said, text = hear()
    if said == 'E' then error(text, 0) end
    if said ~= 'V' then fail(said == 'B' and text or 'a broken answer', said == 'B' and 4 or 3) end -- no error to expect
    local fine, found = pcall(values.decode, text)
    if not fine then fail('a broken answer', 3) end
    return table.unpack(found, 1, found.n)
  end
end
for name in io.lines('/job/names') do
  if not guarded or _G[name] == nil then _G[name] = stand_in(name) end
end
local file = io.open('/job/test.lua')
local text = file:read('a')
file:close()
local chunk, mistake = load(text, '=test')
if not chunk then fail(mistake) end
local fine, failure = xpcall(chunk, function(each) return type(each) == 'table' and (each.msg or 'failed') or tostring(each) end)
if not fine then fail(failure) end
