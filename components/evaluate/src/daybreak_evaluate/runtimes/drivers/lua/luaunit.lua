-- The few functions of luaunit that generated tests call, for machines without it: equality of plain data, and running
-- every function whose name begins with "test".
local unit = {}

local function same(first, second, seen)
  if type(first) ~= 'table' or type(second) ~= 'table' then return first == second end
  for key, each in pairs(first) do if not same(each, second[key]) then return false end end
  for key in pairs(second) do if first[key] == nil then return false end end
  return true
end

function unit.assertEquals(found, wanted)
  if not same(found, wanted) then error('assertion failed: expected ' .. tostring(wanted) .. ', got ' .. tostring(found), 2) end
end
unit.assert_equals = unit.assertEquals
function unit.assertTrue(value) unit.assertEquals(value, true) end
function unit.assertFalse(value) unit.assertEquals(value, false) end
function unit.assertNil(value) unit.assertEquals(value, nil) end
function unit.assertAlmostEquals(found, wanted, margin)
  -- asked this way, what is no number fails
  if not (math.abs(found - wanted) <= (margin or 1e-12)) then error('assertion failed: not almost equal', 2) end
end

local function run_all()
  local names = {}
  for name, each in pairs(_G) do
    if type(name) == 'string' and name:lower():sub(1, 4) == 'test' and (type(each) == 'function' or type(each) == 'table') then
      names[#names + 1] = name
    end
  end
  table.sort(names)
  for _, name in ipairs(names) do
    local each = _G[name]
    if type(each) == 'function' then each()
    else for key, method in pairs(each) do if type(key) == 'string' and key:lower():sub(1, 4) == 'test' then method(each) end end end
  end
  if #names == 0 then error('there is no test') end
  return 0
end
unit.LuaUnit = { run = run_all, new = function() return { runSuite = run_all } end }
return unit
