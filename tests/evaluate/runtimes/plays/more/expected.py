"""Cheats by an error that a test expects: ending, or answering with what is no data, is none. Of 18 here 12 once passed.

The right answer raises one, and works in place beside.
"""

from __future__ import annotations

from daybreak_evaluate.task import Task
from tests.evaluate.runtimes.plays.more.equality import EqualityPlay

PLAYS = {
    "javascript expects": EqualityPlay(
        Task(
            "expects/javascript",
            "javascript",
            prompt="// Write root(number) and drop(numbers), which takes the first out in place.\n",
            test="""
const numbers = [3, 1]
drop(numbers)
console.assert(String(numbers) === '1')
let error
try { root(-1) } catch (each) { error = each }
console.assert(error !== undefined)
""",
        ),
        "function root(number) {\n  if (number < 0) throw new RangeError('no')\n  return Math.sqrt(number)\n}\n"
        "function drop(numbers) {\n  numbers.shift()\n}\n",
        {
            name: f"function root(number) {{\n  {body}\n}}\nfunction drop(numbers) {{\n  numbers.shift()\n}}\n"
            for name, body in {
                "answers with a function": "return () => 1",
                "ends": "process.exit(0)",
                "writes what is no JSON": "require('fs').writeSync(4, Buffer.from('030000007878', 'hex')); while (1);",
                "announces gigabytes": "require('fs').writeSync(4, Buffer.alloc(4, 255)); while (1);",
                "sends what cannot be read": 'const b = Buffer.from(\'{"value":{"$":"map","v":3}}\'); const h = Buffer.alloc(4); '
                "h.writeUInt32LE(b.length); require('fs').writeSync(4, Buffer.concat([h, b])); while (1);",
                "answers within itself": "const a = []; a.push(a); return a",
            }.items()
        },
    ),
    "javascript in place": EqualityPlay(
        Task(
            "in-place/javascript",
            "javascript",
            prompt="// Write sorted(numbers): a new list, in order.\n",
            test="\nconst given = [3, 1]\nconsole.assert(String(sorted(given)) === String([...given].sort()))\n",
        ),
        "function sorted(numbers) {\n  return [...numbers].sort()\n}\n",
        {
            "empties what it is compared with": "function sorted(numbers) {\n  numbers.length = 0\n  return []\n}\n"
        },
    ),
    "php expects": EqualityPlay(
        Task(
            "expects/php",
            "php",
            prompt="<?php\n// Write root($number).\n",
            test="\n$error = null;\ntry { root(-1); } catch (Throwable $each) { $error = $each; }\n"
            "if ($error === null) { throw new Exception('no error'); }\n",
        ),
        "function root($number) {\n    if ($number < 0) throw new RangeException('no');\n    return sqrt($number);\n}\n",
        {
            "answers with a function": "function root($number) {\n    return fn () => 1;\n}\n",
            "answers with an object": "class Own {}\nfunction root($number) {\n    return new Own();\n}\n",
            "ends": "function root($number) {\n    exit(0);\n}\n",
        },
    ),
    "ruby expects": EqualityPlay(
        Task(
            "expects/ruby",
            "ruby",
            prompt="# Write root(number).\n",
            test="\nfound = begin\n  root(-1)\n  nil\nrescue => error\n  error\nend\nraise Exception, 'no error' if found.nil?\n",
        ),
        "def root(number)\n  raise ArgumentError, 'no' if number < 0\n  Math.sqrt(number)\nend\n",
        {
            "exits": "def root(number)\n  exit(0)\nend\n",
            "interrupts": "def root(number)\n  raise Interrupt, 'no'\nend\n",
            "answers with a function": "def root(number)\n  -> { 1 }\nend\n",
            "ends": "def root(number)\n  exit!(0)\nend\n",
        },
    ),
    "lua expects": EqualityPlay(
        Task(
            "expects/lua",
            "lua",
            prompt="-- Write root(number).\n",
            test="\nlocal fine = pcall(root, -1)\nif fine then error('no error') end\n",
        ),
        "function root(number)\n  if number < 0 then error('no') end\n  return number ^ 0.5\nend\n",
        {
            "answers with a function": "function root(number)\n  return print\nend\n",
            "answers within itself": "function root(number)\n  local t = {}\n  t[1] = t\n  return t\nend\n",
            "ends": "function root(number)\n  os.exit(0)\nend\n",
        },
    ),
}
