-- The answer's side: loads the program, then answers calls with plain data. Holds no test and no verdict.
package.path = '/job/?.lua;' .. package.path
local values = require('values')
local sink = io.open('/dev/null', 'w')
io.output(sink)
io.input('/dev/null')
io.stdin, io.stdout = io.input(), sink -- what a program reads or writes by name is not the judge's talk
print = function() end
local send, receive, encode, decode, pcall, load = values.send, values.receive, values.encode, values.decode, pcall, load

local file = io.open('/job/program.lua')
local text = file:read('a')
file:close()
local table_of_names = {}
for name in io.lines('/job/names') do table_of_names[#table_of_names + 1] = string.format('[%q] = %s', name, name) end
local ending = '\nreturn {' .. table.concat(table_of_names, ', ') .. '}'
local chunk, problem = load(text .. ending, '=program')
if not chunk then chunk, problem = load(text, '=program') end
if not chunk then send('S', tostring(problem)) return end
local fine, found = pcall(chunk)
if not fine then send('E', tostring(found):sub(1, 2000)) return end
if type(found) ~= 'table' then found = _G end
send('L', '')
while true do
  local name, arguments = receive()
  if not name then return end
  local call = decode(arguments)
  local results = table.pack(pcall(function() return found[call[1]](table.unpack(call, 2, call.n)) end))
  if results[1] then
    local plain, text = pcall(encode, table.unpack(results, 2, results.n))
    send(plain and 'V' or 'B', plain and text or tostring(text))
  else
    send('E', tostring(results[2]):sub(1, 2000))
  end
end
