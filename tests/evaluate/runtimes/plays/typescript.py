"""TypeScript: compiled, then two processes as in JavaScript."""

from daybreak_evaluate.task import Task
from tests.evaluate.runtimes.play import Play

PLAY = Play(
    task=Task(
        "play/ts",
        "typescript",
        prompt="// Return the numbers that are above the limit, in order.\nfunction above(numbers: number[], limit: number): number[] {\n",
        test="""declare var require: any;
const assert = require('node:assert');

function test() {
  let candidate = above;
  assert.deepEqual(candidate([3, 1, 2], 1), [3, 2]);
  assert.deepEqual(candidate([1], 718281828), []);
}

test();
""",
    ),
    right={
        "filter": "    return numbers.filter((each) => each > limit);\n}\n",
        "an interface of its own": "    return numbers.filter((each) => each > limit);\n}\ninterface Pair<T> { a: T }\n",
    },
    wrong={
        "nothing": "    return [];\n}\n",
        "throws": "    throw new Error('no');\n}\n",
        "does not parse": "    return numbers.(\n",
        "another type": "    return 'a';\n}\n",
    },
    cheats={
        "exits with 0": "    (globalThis as any).process.exit(0);\n    return [];\n}\n",
        "exits at load": "    return [];\n}\n(globalThis as any).process.exit(0);\n",
        "assert is another": "    return [];\n}\ndeclare var require: any;\nfor (const k of Object.keys(require('assert'))) require('assert')[k] = () => {};\n",
        "an object that equals": "    return new Proxy([], { get: () => 3 }) as any;\n}\n",
        "a reference to a file": "    return [];\n}\n/// <reference path=\"/job/test.ts\" />\nimport x from '/etc/passwd';\n",
        "reads the test": (
            "    const fs = require('fs'); let all = '';\n"
            "    for (const d of ['/job', '/out', '/build', '/tmp']) try { for (const f of fs.readdirSync(d)) all += fs.readFileSync(d + '/' + f) } catch {}\n"
            "    return /71828[1]828/.test(all) ? numbers.filter((each) => each > limit) : [];\n}\ndeclare var require: any;\n"
        ),
        "runs for ever": "    while (true) {}\n}\n",
        "a type that never ends": "    return [];\n}\ntype N<T extends any[], K extends number> = T['length'] extends K ? T : N<[...T, 1], K>;\ntype M<A> = A extends any ? N<[], 900> | M<[A, A]> : never;\nlet z: M<1> = 1;\n",
    },
    whole="declare var require: any;\nconst [a, b] = require('fs').readFileSync(0, 'utf8').split(' ').map(Number);\nconsole.log(a + b);\n",
    whole_cheats={"a constant": "console.log(3);\n"},
)
