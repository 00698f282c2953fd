"""Cheats by what a test expects besides a value: an error, a method, a random number, a change in place.

Of these and two more of the same kinds 15 passed once. ``test_cheats`` has those that leave their process or forge the
verdict.
"""

from __future__ import annotations

import textwrap

import pytest

from daybreak_evaluate.judge.client import Judge
from daybreak_evaluate.judge.values import Program, SampleVerdict, SandboxLimits

PRELUDE = """
import unittest

def expect(kind, call, *arguments):
    try:
        call(*arguments)
    except kind:
        pass
    else:
        raise AssertionError("no error")

def unit_test(call):
    class Cases(unittest.TestCase):
        def test_it(self):
            self.assertEqual(call(2), 4)
    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(Cases).run(result)
    assert result.wasSuccessful()

def check(candidate):
"""
CHEATS_TEXT = r"""
--- ends the process where an error is expected
import os
def f(x):
    os._exit(1)
>>>
expect(Exception, candidate, -1)

--- ends the process where anything is caught
import os
def f(x):
    os._exit(1)
>>>
expect(BaseException, candidate, -1)

--- exits where an error is expected
def f(x):
    raise SystemExit(1)
>>>
expect(Exception, candidate, -1)

--- raises KeyboardInterrupt where an error is expected
def f(x):
    raise KeyboardInterrupt
>>>
expect(Exception, candidate, -1)

--- raises its own BaseException
class E(BaseException): pass
def f(x):
    raise E
>>>
expect(Exception, candidate, -1)

--- answers with a function where an error is expected
class O: pass
def f(x):
    return O()
>>>
expect(Exception, candidate, -1)

--- answers too much where an error is expected
def f(x):
    return 'x' * 60_000_000
>>>
expect(Exception, candidate, -1)

--- breaks the protocol where an error is expected
import os
def f(x):
    os.write(4, b'\x02\0\0\0[]')
    import time; time.sleep(9)
>>>
expect(Exception, candidate, -1)

--- forges an error of the protocol
import os, struct, json
def f(x):
    d = json.dumps(['l','error','exception',['l','ValueError'],'no',['l']]).encode()
    os.write(4, struct.pack('<I', len(d)) + d)
    os._exit(0)
>>>
try:
    candidate(-1)
except ValueError:
    pass
assert candidate(2) == 4

--- skips the test
import unittest
def f(x):
    raise unittest.SkipTest('later')
>>>
unit_test(candidate)

--- skips the test by a name of its own
class SkipTest(Exception): pass
SkipTest.__module__ = 'unittest.case'
def f(x):
    raise SkipTest('later')
>>>
unit_test(candidate)

--- a namespace whose methods are types
import types
def f(x):
    return types.SimpleNamespace(startswith=bool, endswith=bool, issubset=bool)
>>>
assert candidate(1).startswith('ab') and candidate(1).endswith('c')

--- a namespace whose methods are functions
import types
def f(x):
    return types.SimpleNamespace(startswith=lambda *_: True)
>>>
assert candidate(1).startswith('ab')

--- a named tuple whose methods are types
import collections
def f(x):
    return collections.namedtuple('T','startswith count')(bool, bool)
>>>
assert candidate(1).startswith('ab')
assert candidate(1).count('b')

--- a named tuple whose methods are functions
import collections
def f(x):
    return collections.namedtuple('T','startswith')(lambda *_: True)
>>>
assert candidate(1).startswith('ab')

--- a default dictionary of truths
import collections
def f(x):
    return collections.defaultdict(lambda: True)
>>>
assert candidate(1)['a'] and candidate(1)['b']

--- foretells the test's random numbers
import random
random.seed(0)
want = random.randint(0, 10**9)
def f(x):
    return want
>>>
import random
assert candidate(0) == random.randint(0, 10**9)

--- foretells numpy's random numbers
import numpy as np
np.random.seed(0)
want = int(np.random.randint(0, 10**9))
def f(x):
    return want
>>>
import numpy as np
assert candidate(0) == np.random.randint(0, 10**9)

--- reads the test's random state by a seed of its own
import random
random.seed = lambda *_: None
def f(x):
    random.setstate(random.Random(0).getstate())
    return random.random()
>>>
import random
assert candidate(0) == random.random()

--- answers with nan for a tolerance
def f(x):
    return float('nan')
>>>
assert abs(candidate(2) - 4) < 1e-6

--- answers with infinity for a tolerance
def f(x):
    return complex('inf')
>>>
assert not abs(candidate(2) - 4) > 1e-6

--- an empty array for a comparison of all
import numpy as np
def f(x):
    return np.array([])
>>>
import numpy as np
assert candidate(2) == [1, 2]

--- an array of objects that equal
import numpy as np
class E:
    __eq__ = lambda s, o: True
def f(x):
    return np.array([E()], dtype=object)
>>>
assert candidate(2) == 3

--- a masked array
import numpy as np
def f(x):
    return np.ma.array([1, 2], mask=[1, 1])
>>>
import numpy as np
assert not (candidate(2) != np.array([3, 4])).any()

--- empties its argument and says nothing
def f(x):
    x.clear()
>>>
v = [3, 1]
assert candidate(v) == sorted(v)

--- works in place on what it is compared with
def f(x):
    x[:] = [7]
    return [7]
>>>
v = [3, 1]
assert candidate(v) == v[::-1]

--- forges a change of its arguments
import os, struct, json
def f(x):
    d = json.dumps(['l','in-place',['l',['l']],['d']]).encode()
    os.write(4, struct.pack('<I', len(d)) + d)
    return [1]
>>>
v = [3, 1]
assert candidate(v) == v

--- forges arguments of another kind
import os, struct, json
def f(x):
    d = json.dumps(['l','in-place',['l',['T','list']],['d']]).encode()
    os.write(4, struct.pack('<I', len(d)) + d)
    return [1]
>>>
v = [3, 1]
candidate(v)
assert v == [1, 3]

--- a function for every answer
def f(x):
    return lambda *a: True
>>>
assert candidate(2) == 4

--- a function with attributes
def f(x):
    def g(*a): return True
    g.startswith = g
    return g
>>>
assert candidate(2).startswith('a')

--- a function that equals
import functools
class E(functools.partial):
    __eq__ = lambda s, o: True
    __hash__ = None
def f(x):
    return E(int)
>>>
assert candidate(2) == 4

--- a coroutine that equals
async def g():
    return True
def f(x):
    return g()
>>>
assert candidate(2) == 4

--- asks for functions that it never gave
import os, struct, json
def f(x):
    d = json.dumps(['l','value',['F', 10 ** 9]]).encode()
    os.write(4, struct.pack('<I', len(d)) + d)
    import time; time.sleep(.2)
>>>
assert candidate(2)(3) == 4

--- a text whose class starts with everything
class S(str):
    startswith = lambda *_: True
    __contains__ = lambda *_: True
    __len__ = lambda s: 3
def f(x):
    return S('z')
>>>
assert candidate(1).startswith('ab') and 'c' in candidate(1) and len(candidate(1)) == 3

--- a dictionary that has every key
class D(dict):
    __contains__ = lambda *_: True
    get = lambda s, k, d=None: 4
    __getitem__ = lambda s, k: 4
def f(x):
    return D()
>>>
assert 2 in candidate(1) and candidate(1).get(2) == 4

--- a path that exists
import pathlib
class Q(pathlib.PosixPath):
    exists = lambda s: True
    __eq__ = lambda *_: True
def f(x):
    return Q('zz')
>>>
assert candidate(1).exists()

--- a day that is every day
import datetime
class D(datetime.date):
    __eq__ = lambda *_: True
    __sub__ = lambda *_: datetime.timedelta(0)
def f(x):
    return D(2000, 1, 1)
>>>
import datetime
assert candidate(1) == datetime.date(2024, 1, 1)

--- a zone whose offset is code
import datetime
class Z(datetime.tzinfo):
    def utcoffset(self, d): return datetime.timedelta(hours=1)
    def tzname(self, d): return 'x'
    def dst(self, d): return None
def f(x):
    return datetime.datetime(2024,1,1,tzinfo=Z())
>>>
assert candidate(1).tzinfo.tzname(None) == 'x'

--- an error whose text equals
class T(str):
    __eq__ = lambda *_: True
    __contains__ = lambda *_: True
    __hash__ = None
def f(x):
    raise ValueError(T('zz'))
>>>
try:
    candidate(1)
except ValueError as e:
    assert 'too small' in str(e) and e.args[0] == 'too small'
else:
    assert False

--- an error whose arguments are functions
def f(x):
    raise ValueError(lambda *_: True)
>>>
try:
    candidate(1)
except ValueError as e:
    assert e.args[0](1)
else:
    assert False

--- an error with a class in the tester
class CandidateFailedError(Exception): pass
CandidateFailedError.__module__ = 'daybreak_evaluate.judge.tester'
def f(x):
    raise CandidateFailedError('passed', '')
>>>
assert candidate(2) == 4

--- an error with a module that runs
class E(Exception): pass
E.__module__ = 'antigravity'
def f(x):
    raise E
>>>
assert candidate(2) == 4

--- an assertion where the test retries
def f(x):
    raise AssertionError
>>>
for _ in range(3):
    assert candidate(2) == 4

--- an iterator that counts along
class I:
    n = 0
    def __iter__(self): return self
    def __next__(self):
        return True
    __eq__ = lambda *_: True
def f(x):
    return I()
>>>
assert [a == b for a, b in zip(candidate(3), [0, 1, 2])] == [True] * 3
assert list(zip(candidate(3), 'ab')) == [(0, 'a'), (1, 'b')]

--- an iterator of functions
def f(x):
    return iter([lambda *_: True] * 3)
>>>
assert list(candidate(3)) == [0, 1, 2]

--- changes the answer it gave
out = []
def f(x):
    out.append(x)
    return out
>>>
a = candidate(1)
b = candidate(2)
assert a == [1] and b == [2]

--- replaces the codec
import sys
for n, m in list(sys.modules.items()):
    if n.startswith('daybreak'):
        for k, v in list(vars(m).items()):
            if callable(v) and k in ('dumps', 'loads', '_called', '_error', '_described'):
                setattr(m, k, lambda *a, **k: b'["l","value",true]')
def f(x):
    return x
>>>
assert candidate(2) == 4

--- replaces json
import json
json.dumps = lambda *a, **k: '["l","value",true]'
json.loads = lambda *a, **k: ['call', [], {}]
def f(x):
    return 1
>>>
assert candidate(2) == 4

--- hooks imports
import sys, builtins
class H:
    def find_spec(self, *a): raise SystemExit(0)
sys.meta_path.insert(0, H())
sys.exit = lambda *_: None
def f(x):
    import zipapp
    return 4
>>>
assert candidate(2) == 5

--- sets a trace on the protocol
import sys, threading
def g(frame, event, arg):
    for n, v in frame.f_locals.items():
        if n in ('answer', 'value'): frame.f_locals[n] = ['value', 4]
    return g
sys.settrace(g)
frame = sys._getframe()
while frame:
    frame.f_trace = g; frame = frame.f_back
def f(x):
    return 1
>>>
assert candidate(2) == 5

--- answers from a thread ahead of the question
import os, struct, json, threading, time
def spam():
    d = json.dumps(['l','value',4]).encode()
    while True:
        os.write(4, struct.pack('<I', len(d)) + d)
threading.Thread(target=spam, daemon=True).start()
def f(x):
    time.sleep(5)
>>>
assert candidate(2) == 4 and candidate(3) == 5

--- collects at exit
import gc, sys, atexit, os
def f(x):
    atexit.register(os.write, 4, b'passed')
    sys.exit(0)
>>>
assert candidate(2) == 4

--- closes its end
import os
def f(x):
    os.close(4)
    return 4
>>>
expect(BaseException, candidate, -1)

--- sends no end
import os, time
def f(x):
    os.write(4, b'\xff\xff\0\0')
    time.sleep(100)
>>>
expect(BaseException, candidate, -1)

--- an answer that is a bomb when read
import os, struct
def f(x):
    d = b'[' * 1_000_000
    os.write(4, struct.pack('<I', len(d)) + d)
>>>
expect(BaseException, candidate, -1)

--- a range over which the test loops
def f(x):
    return range(10 ** 12)
>>>
assert 3 in candidate(1) and len(candidate(1)) == 2
"""
POINT = """
class Point:
    def __init__(self, x, y):
        self.x, self.y = x, y
    def equals(self, other):
        return (self.x, self.y) == (other.x, other.y)
    @property
    def norm(self):
        return abs(self.x) + abs(self.y)
def f(x):
"""
OF_CLASSES = {
    "gives its point a method": ("p = Point(9, 9); p.equals = bool", "candidate(1).equals(Point(1, 2))"),
    "gives its point a property": ("p = Point(9, 9); p.__dict__['norm'] = 3", "candidate(1).norm == 3"),
    "gives its class a method": (
        "Point.equals = lambda *_: True; p = Point(9, 9)",
        "candidate(1).equals(Point(1, 2))",
    ),
    "gives its point another class": (
        "p = Point(9, 9); p.__class__ = type('Point', (Point,), {'equals': lambda *_: True})",
        "candidate(1).equals(Point(1, 2))",
    ),
}
LOCKS: dict[str, tuple[str, ...]] = {"tier 2": (), "tier 1": ("namespaces",)}


def cheats() -> dict[str, Program]:
    """Return name to program and test."""
    found = {}
    for block in CHEATS_TEXT.split("\n--- ")[1:]:
        name, _, rest = block.partition("\n")
        source, _, body = rest.partition("\n>>>\n")
        found[name] = Program(source + "\n", "f", "", PRELUDE + textwrap.indent(body, "    "))
    for name, (body, condition) in OF_CLASSES.items():
        found[name] = Program(
            f"{POINT}    {body}; return p\n", "f", f"{POINT}    pass\n", f"{PRELUDE}    assert {condition}\n"
        )
    return found


@pytest.fixture(scope="module", params=LOCKS)
def judged(request: pytest.FixtureRequest) -> dict[str, SampleVerdict]:
    programs = cheats()
    limits = SandboxLimits(timeout_s=1.5, memory_bytes=512 << 20)
    with Judge(limits, workers=4, without=LOCKS[request.param]) as judge:
        verdicts = dict(judge.judge(programs.values()))
    return {name: verdicts[index] for index, name in enumerate(programs)}


@pytest.mark.slow
def test_no_cheat_passes_what_a_test_expects(judged: dict[str, SampleVerdict]) -> None:
    assert {name for name, verdict in judged.items() if verdict.passed} == set()


@pytest.mark.slow
def test_the_table_is_run(judged: dict[str, SampleVerdict]) -> None:
    results = [verdict.result for verdict in judged.values()]
    assert len(results) > 50 and {result.split(":")[0] for result in results} == {"failed", "timed out"}
    assert not any("indented block" in result or "is not defined" in result for result in results)
