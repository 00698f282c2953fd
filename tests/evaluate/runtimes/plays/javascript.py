"""JavaScript: two processes, so that the test is out of reach."""

from daybreak_evaluate.task import Task
from tests.evaluate.runtimes.play import Play

PLAY = Play(
    task=Task(
        "play/js",
        "javascript",
        prompt="// Return the numbers that are above the limit, in order.\nconst above = (numbers, limit) => {\n",
        test="""
const testAbove = () => {
  console.assert(JSON.stringify(above([3, 1, 2], 1)) === JSON.stringify([3, 2]))
  console.assert(JSON.stringify(above([], 718281828)) === JSON.stringify([]))
  console.assert(JSON.stringify(above([718281829, -1], 718281828)) === JSON.stringify([718281829]))
}

testAbove()
""",
    ),
    right={
        "filter": "  return numbers.filter((each) => each > limit)\n}\n",
        "prints as well": "  console.log('[]'); return numbers.filter((each) => each > limit)\n}\n",
        "redefines assert without need": "  return numbers.filter((each) => each > limit)\n}\nvar assert = 1\n",
    },
    wrong={
        "nothing": "}\n",
        "the whole list": "  return numbers\n}\n",
        "throws": "  throw new TypeError('no')\n}\n",
        "does not parse": "  return numbers.filter((\n",
        "a function": "  return () => numbers\n}\n",
    },
    cheats={
        "exits with 0": "  process.exit(0)\n}\n",
        "exits with 0 at load": "}\nprocess.exit(0)\n",
        "kills itself": "  process.kill(process.pid, 9)\n}\n",
        "kills all": "  process.kill(-1, 9); process.kill(1, 9)\n}\n",
        "console.assert does nothing": "}\nconsole.assert = () => {}\n",
        "assert's methods do nothing": "}\nfor (const k in require('assert')) require('assert')[k] = () => {}\n",
        "the cache of require": "}\nrequire.cache = {}; require('module')._load = () => () => true\n",
        "an object that stringifies as wanted": "  return { toJSON: () => [3, 2] }\n}\n",
        "a proxy": "  return new Proxy([], { get: () => () => true })\n}\n",
        "JSON.stringify is a constant": "}\nJSON.stringify = () => 'x'\n",
        "prototypes": "}\nArray.prototype.toJSON = () => 1; Object.prototype.toJSON = () => 1\n",
        "exit handler says 0": "}\nprocess.on('exit', () => { process.exitCode = 0; process.reallyExit(0) })\n",
        "swallows errors": "  throw 1\n}\nprocess.on('uncaughtException', () => {})\n",
        "reads the test": (
            "  const fs = require('fs'); let all = '';\n"
            "  for (const d of ['/job', '/out', '/tmp', '/', '/proc/self', '/build', '..'])\n"
            "    try { for (const f of fs.readdirSync(d))\n"
            "        try { all += fs.readFileSync(d + '/' + f) } catch {} } catch {}\n"
            "  const found = /JSON.stringify\\(above\\(/.test(all);\n"
            "  return found ? numbers.filter((each) => each > limit) : 'no test in sight'\n}\n"
        ),
        "answers ahead on the pipe": (
            "}\nconst fs = require('fs');\n"
            "for (const v of ['true', 'true', 'true', 'true']) {\n"
            "  const b = Buffer.from('{\"value\":' + v + '}'); const h = Buffer.alloc(4); h.writeUInt32LE(b.length);\n"
            "  fs.writeSync(4, Buffer.concat([h, b])) }\nwhile (1);\n"
        ),
        "a message of four gigabytes": "}\nrequire('fs').writeSync(4, Buffer.alloc(4, 255)); while (1);\n",
        "a message that is no JSON": "}\nrequire('fs').writeSync(4, Buffer.from('030000007878', 'hex')); while (1);\n",
        "a message with a prototype": (
            '  const b = Buffer.from(\'{"value":{"$":"object","v":[["__proto__",{"$":"undefined"}]]}}\');\n'
            "  const h = Buffer.alloc(4); h.writeUInt32LE(b.length);\n"
            "  require('fs').writeSync(4, Buffer.concat([h, b])); while (1);\n}\n"
        ),
        "runs for ever": "  while (true) {}\n}\n",
        "sleeps for ever": "  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)\n}\n",
        "all the memory": "  const a = []; while (1) a.push(Buffer.alloc(1 << 24, 1))\n}\n",
        "all the output": "  while (1) require('fs').writeSync(1, 'x'.repeat(65536))\n}\n",
        "forks": (
            "  const { spawn } = require('child_process');\n"
            "  for (let i = 0; i < 500; i++) spawn(process.execPath, ['-e', 'while(1);'], { detached: true })\n"
            "  while (1);\n}\n"
        ),
        "workers": (
            "  const { Worker } = require('worker_threads');\n"
            "  for (let i = 0; i < 100; i++) new Worker('while(1);', { eval: true })\n  while (1);\n}\n"
        ),
        "a link out of the folder": (
            "  const fs = require('fs'); fs.symlinkSync('/etc/passwd', '/tmp/x');\n"
            "  return fs.readFileSync('/tmp/x') ? numbers.filter((each) => each > limit) : 0\n}\n"
        ),
        "the network": (
            "  require('dns').lookup('example.org', () => {}); require('net').connect(80, '127.0.0.1');\n"
            "  return 0\n}\n"
        ),
    },
    whole="const [a, b] = require('fs').readFileSync(0, 'utf8').split(' ').map(Number)\nconsole.log(a + b)\n",
    whole_cheats={
        "a constant": "console.log(3)\n",
        "exits": "process.exit(0)\n",
        "too much": "console.log(3); while (1) console.log('')\n",
    },
)
