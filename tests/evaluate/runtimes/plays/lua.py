"""Lua: two processes, so that the test is out of reach."""

from daybreak_evaluate.task import Task
from tests.evaluate.runtimes.play import Play

PLAY = Play(
    task=Task(
        "play/lua",
        "lua",
        prompt="-- Return the numbers that are above the limit, in order.\nlocal function above(numbers, limit)\n",
        test="""
lu = require('luaunit')

function test_above()
local candidate = above
    lu.assertEquals(candidate({3, 1, 2}, 1), {3, 2})
    lu.assertEquals(candidate({1}, 718281828), {})
    lu.assertEquals(candidate({2.5, 0}, 1), {2.5})
end

os.exit(lu.LuaUnit.run())
""",
    ),
    right={
        "loop": "  local found = {}\n  for _, each in ipairs(numbers) do if each > limit then found[#found + 1] = each end end\n  return found\nend\n",
        "prints as well": "  print('x') io.write('y')\n  local found = {}\n  for _, each in ipairs(numbers) do if each > limit then table.insert(found, each) end end\n  return found\nend\n",
    },
    wrong={
        "nothing": "end\n",
        "raises": "  error('no')\nend\n",
        "does not parse": "  return {\n",
        "a function": "  return print\nend\n",
    },
    cheats={
        "exits with 0": "  os.exit(0)\nend\n",
        "exits at load": "end\nos.exit(0)\n",
        "equals everything": "  return setmetatable({}, { __eq = function() return true end, __index = function() return 3 end })\nend\n",
        "luaunit is another": "end\npackage.loaded.luaunit = { assertEquals = function() end, LuaUnit = { run = function() return 0 end } }\n",
        "the functions of the test": "end\nfunction test_above() end\nfunction error() end\nfunction assert() end\n",
        "answers what it likes on the pipe": "end\nio.output(io.stdout)\nfor _ = 1, 4 do io.stdout:write(string.pack('<I4', 4), 'Vi1;') end io.stdout:flush() while true do end\n",
        "a broken answer": "end\nio.stdout:write(string.pack('<I4', 8), 'VT9999;nn') io.stdout:flush() while true do end\n",
        "reads the test": "  for _, n in ipairs({'/job/test.lua', '/out/test.lua', 'test.lua'}) do local f = io.open(n) if f then return {3, 2} end end\nend\n",
        "the registry": "  for k, v in pairs(debug.getregistry()) do if type(v) == 'table' then v.passed = true end end\nend\n",
        "runs for ever": "  while true do end\nend\n",
        "all the memory": "  local a = {} while true do a[#a + 1] = string.rep('x', 1 << 24) .. #a end\nend\n",
        "all the output": "  while true do io.stderr:write(string.rep('x', 65536)) end\nend\n",
        "a shell": "  os.execute('cat /job/*') io.popen('ls'):read('a')\nend\n",
    },
    whole="local a, b = io.read('n', 'n')\nprint(a + b)\n",
    whole_cheats={"a constant": "print(3)\n", "exits": "os.exit(0)\n"},
)
