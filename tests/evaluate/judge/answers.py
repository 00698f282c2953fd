"""Answers of many kinds, each a program with a function ``f`` and, behind ``>>>``, what a test asserts of it."""

from __future__ import annotations

RIGHT_TEXT = r"""
--- decimal
from decimal import Decimal
def f(x):
    return Decimal(x) / 4
>>> f(1) == 0.25

--- decimal beside a float
from decimal import Decimal
def f(x):
    return Decimal('2.5')
>>> abs(float(f(1)) - 2.5) < 1e-9

--- fraction
from fractions import Fraction
def f(x):
    return Fraction(x, 2)
>>> f(1) == 0.5

--- generator
def f(x):
    yield from range(x)
>>> tuple(f(3)) == (0, 1, 2)

--- map
def f(x):
    return map(str, range(x))
>>> list(f(2)) == ['0', '1']

--- filter
def f(x):
    return filter(None, range(x))
>>> sum(f(3)) == 3

--- zip
def f(x):
    return zip('ab', range(x))
>>> dict(f(2)) == {'a': 0, 'b': 1}

--- reversed
def f(x):
    return reversed([1, x])
>>> list(f(2)) == [2, 1]

--- iterator without end
import itertools
def f(x):
    return itertools.count(x)
>>> next(f(7)) == 7

--- a long generator
def f(x):
    return (i for i in range(x))
>>> sum(f(50_000)) == sum(range(50_000))

--- a generator that would hang after the third
def f(x):
    yield from range(x)
    while True: pass
>>> [i for _, i in zip('abc', f(3))] == [0, 1, 2]

--- groups
import itertools
def f(x):
    return itertools.groupby(x)
>>> [(key, list(group)) for key, group in f('aab')] == [('a', ['a', 'a']), ('b', ['b'])]

--- iterators in a list
def f(x):
    return [iter('ab'), range(2)]
>>> [*map(list, f(1))] == [['a', 'b'], [0, 1]]

--- its own iterator
class Own:
    n = 0
    def __iter__(self): return self
    def __next__(self):
        self.n += 1
        if self.n > 3: raise StopIteration
        return self.n
def f(x):
    return Own()
>>> sorted(f(1)) == [1, 2, 3]

--- keys
def f(x):
    return {x: 1}.keys()
>>> f('a') == {'a'} and list(f(1)) == [1]

--- values
def f(x):
    return {x: 1}.values()
>>> list(f('a')) == [1]

--- pairs
def f(x):
    return {x: 1}.items()
>>> list(f('a')) == [('a', 1)]

--- range
def f(x):
    return range(x)
>>> list(f(2)) == [0, 1] and f(2) == range(2)

--- counter
from collections import Counter
def f(x):
    return Counter(x)
>>> f('aab')['z'] == 0 and f('a') == {'a': 1}

--- default dictionary
from collections import defaultdict
def f(x):
    return defaultdict(int)
>>> f(1)['a'] == 0

--- ordered dictionary
from collections import OrderedDict
def f(x):
    return OrderedDict(a=1, b=2)
>>> f(1) == {'b': 2, 'a': 1} and list(f(1)) == ['a', 'b']

--- queue
from collections import deque
def f(x):
    return deque([x], 3)
>>> f(1).maxlen == 3 and list(f(1)) == [1]

--- named tuple
from collections import namedtuple
P = namedtuple('P', 'a b')
def f(x):
    return P(x, 2)
>>> f(1).b == 2 and f(1) == (1, 2)

--- day
import datetime
def f(x):
    return datetime.date(2024, 1, x)
>>> f(5).isoformat() == '2024-01-05'

--- moment
import datetime
def f(x):
    return datetime.datetime(2024, 1, x, tzinfo=datetime.timezone.utc)
>>> f(5).timestamp() == 1704412800

--- duration
import datetime
def f(x):
    return datetime.timedelta(x)
>>> f(1).total_seconds() == 86400

--- identifier
import uuid
def f(x):
    return uuid.UUID(int=x)
>>> f(1).int == 1

--- path
import pathlib
def f(x):
    return pathlib.Path(x) / 'b'
>>> f('a').name == 'b' and str(f('a')) == 'a/b'

--- array
import array
def f(x):
    return array.array('i', [x])
>>> f(3)[0] == 3 and list(f(3)) == [3]

--- view of bytes
def f(x):
    return memoryview(x)
>>> f(b'ab') == b'ab'

--- complex
def f(x):
    return complex(x, 1)
>>> f(2) == 2 + 1j

--- type
def f(x):
    return type(x)
>>> f(1) == int

--- ellipsis
def f(x):
    return ...
>>> f(1) is ...

--- integer enumeration
import enum
class E(enum.IntEnum):
    A = 3
def f(x):
    return E.A
>>> f(1) == 3

--- text enumeration
import enum
class E(enum.StrEnum):
    A = 'a'
def f(x):
    return E.A
>>> f(1) == 'a'

--- numbers of numpy
import numpy as np
def f(x):
    return [np.int64(x), np.bool_(True)]
>>> f(2) == [2, True]

--- array of numpy
import numpy as np
def f(x):
    return np.arange(x)
>>> list(f(3)) == [0, 1, 2] and f(3).sum() == 3

--- array of one
import numpy as np
def f(x):
    return np.array([x])
>>> f(3) == 3

--- number of sympy
import sympy
def f(x):
    return sympy.Integer(x) * 2
>>> f(3) == 6

--- arguments that are iterators
def f(x):
    return sum(x)
>>> f(iter([1, 2])) == 3 and f(range(3)) == 3

--- arguments of other types
def f(x, y):
    return x + y
>>> f(__import__('decimal').Decimal(1), 2) == 3

--- an exception that the test expects
def f(x):
    raise ValueError('no')
>>> __import__('unittest').TestCase().assertRaises(ValueError, f, 1) is None

--- an exception of its own
class Own(KeyError): pass
def f(x):
    raise Own(x)
>>> __import__('unittest').TestCase().assertRaises(KeyError, f, 1) is None

--- pool of threads
from multiprocessing.pool import ThreadPool
def f(x):
    with ThreadPool(x) as pool:
        return pool.map(abs, [-1, -2])
>>> f(4) == [1, 2]

--- locks of multiprocessing
import multiprocessing as m
def f(x):
    with m.RLock() as a, m.Lock(), m.Semaphore(2):
        q = m.SimpleQueue()
        q.put(x)
        return q.get()
>>> f(4) == 4

--- thirty-two threads
from concurrent.futures import ThreadPoolExecutor
import time
def f(x):
    with ThreadPoolExecutor(32) as pool:
        list(pool.map(time.sleep, [0.2] * 32))
    return x
>>> f(1) == 1

--- the name help
def f(x):
    return [help, exit, quit] != x
>>> f(1)

--- copyright
def f(x):
    return len(str(copyright)) > 10 and bool(credits) and bool(license)
>>> f(1)

--- printing half a surrogate pair
def f(x):
    print('\ud800')
    return x
>>> f(1) == 1

--- the locale of the environment
import locale
def f(x):
    locale.setlocale(locale.LC_ALL, '')
    return format(x, 'n')
>>> f(1) == '1'

--- platform
import platform
def f(x):
    return platform.system()
>>> f(1) == 'Linux'

--- a set in a set
def f(x):
    return {frozenset([x])}
>>> f(1) == {frozenset([1])}

--- half a surrogate pair
def f(x):
    return '\ud800'
>>> f(1) == '\ud800'

--- deep recursion
def f(x):
    return 0 if x == 0 else 1 + f(x - 1)
>>> f(900) == 900
"""
WITH_FILES_TEXT = r"""
--- time zone
import datetime, zoneinfo
def f(x):
    return datetime.datetime(2024, 7, 1, x, tzinfo=zoneinfo.ZoneInfo('Europe/Berlin'))
>>> f(5).utcoffset().total_seconds() == 7200
"""
"""Need a file of the machine, which the lowest tier cannot open."""
WRONG_TEXT = r"""
--- a generator is no list
def f(x):
    yield 1
>>> f(1) == [1]

--- a range is no list
def f(x):
    return range(2)
>>> f(1) == [0, 1]

--- a generator that is too short
def f(x):
    yield 1
>>> list(f(1)) == [1, 2]

--- a generator that fails in the middle
def f(x):
    yield 1
    raise ValueError('no')
>>> list(f(1)) == [1]

--- a value that is not a number
def f(x):
    return __import__('decimal').Decimal('nan')
>>> f(1) == f(1)

--- an array of several has no truth
import numpy as np
def f(x):
    return np.arange(2)
>>> f(1) == [0, 1]

--- an unexpected exception
def f(x):
    raise TypeError('no')
>>> __import__('unittest').TestCase().assertRaises(ValueError, f, 1) is None
"""


def cases_of(text: str) -> dict[str, tuple[str, str]]:
    """Return name to program and condition."""
    cases = {}
    for block in text.split("\n--- ")[1:]:
        name, _, rest = block.partition("\n")
        source, _, condition = rest.rpartition("\n>>> ")
        cases[name] = (source + "\n", condition.strip())
    return cases


RIGHT, WITH_FILES, WRONG = cases_of(RIGHT_TEXT), cases_of(WITH_FILES_TEXT), cases_of(WRONG_TEXT)
