"""A JavaScript repository's own tests as a suite: functions that are found, right answers, cheats that do not pass."""

from __future__ import annotations

from pathlib import Path

import pytest

from daybreak_contracts.errors import UserError
from daybreak_contracts.progress import Progress
from daybreak_evaluate.judge.values import FailureKind, SampleVerdict, SandboxLimits
from daybreak_evaluate.runtimes import registry as runtimes
from daybreak_evaluate.runtimes.in_repository import js_tests
from daybreak_evaluate.runtimes.in_repository.js_functions import functions_in, is_body, with_marks
from daybreak_evaluate.runtimes.in_repository.js_runners import RunnerCall, runner_of
from daybreak_evaluate.runtimes.in_repository.write_tasks import write_tasks
from daybreak_evaluate.runtimes.protocol import Attempt
from daybreak_evaluate.suites import problem_suite
from daybreak_evaluate.task import Task
from tests.evaluate.suites.own_problems import suite_of

BODY = '  const words = text.split(" ").filter(Boolean);\n  return words[words.length - 1] ?? "";\n'
SHOP = (
    'import { double } from "tiny";\n\n'
    f"// Not ready for commas.\nexport function lastWord(text) {{\n{BODY}}}\n\n"
    "export class Basket {\n  #things = [];\n"
    "  put(thing) {\n    this.#things.push(thing);\n    return this.#things.length;\n  }\n}\n\n"
    "export const twice = (number) => {\n  const found = double(number);\n  return found;\n};\n\n"
    "function untested() {\n  let total = 1;\n  return total;\n}\n\n"
    "export const first = early();\n\nfunction early() {\n  const number = 3;\n  return number;\n}\n"
)
TESTS = """import assert from "node:assert/strict";
import { describe, it, test } from "node:test";
import { Basket, lastWord, twice } from "../src/shop.js";

test("lastWord", () => {
  for (const [text, want] of [["a b", "b"], ["", ""], ["x", "x"]]) assert.equal(lastWord(text), want);
});
describe("a basket", () => {
  it("counts", () => {
    const basket = new Basket();
    assert.deepEqual([basket.put(1), basket.put(2)], [1, 2]);
  });
});
test("twice", async () => {
  assert.equal(twice(4), 8);
});
test("fails always", () => assert.fail("always"));
test.skip("is skipped", () => {});
"""
COMMON = """const { test } = require("node:test");
const assert = require("node:assert");
const { add } = require("../src/old.cjs");
test("add", () => {
  assert.strictEqual(add(1, 2), 3);
});
"""
OLD = "exports.add = function (a, b) {\n  const sum = a + b;\n  return sum;\n};\n"


def make_repository(folder: Path) -> Path:
    for name, text in {
        "package.json": '{"name": "shop", "type": "module"}\n',
        "src/shop.js": SHOP,
        "src/old.cjs": OLD,
        "test/shop.test.js": TESTS,
        "test/old.test.cjs": COMMON,
        "test/browser.test.js": 'import { expect } from "vitest";\n',
        "node_modules/tiny/package.json": '{"name": "tiny", "main": "index.js"}\n',
        "node_modules/tiny/index.js": "exports.double = (a) => 2 * a;\n",
    }.items():
        path = folder / "shop" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder / "shop"


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Task]:
    runtime = runtimes.get("javascript-repository")
    if not runtime.probe().works:
        pytest.skip(runtime.probe().remedy)
    folder = tmp_path_factory.mktemp("repository")
    said = write_tasks(make_repository(folder), folder / "tasks.jsonl", 10, Progress("tasks"))
    assert "format: Repository" in said
    suite = suite_of(folder / "tasks.jsonl", "Repository")
    assert suite.problems is not None
    return {task.task_id.rpartition(":")[2]: task for task in problem_suite.tasks_of(suite.problems)}


WRONG = "  return text;\n"
ESCAPE = "  return text;\n}\n%s\nfunction more() {\n"
"""Ends the function, puts something behind it, and begins another."""
CHEATS = {
    "leaves the process": "  process.exit(0);\n",
    "leaves it by another way": "  process.reallyExit(0);\n",
    "kills it": "  process.kill(process.pid);\n",
    "turns an assertion": '  process.getBuiltinModule?.("node:assert").strict.equal;\n'
    '  const a = process.getBuiltinModule("node:assert"); a.strict.equal = () => {}; a.equal = () => {};\n'
    + WRONG,
    "turns the proof of equality": "  Object.is = () => true;\n" + WRONG,
    "turns every way to compare": '  String.prototype.valueOf = () => "b"; Object.prototype.toString = () => "b";\n'
    + WRONG,
    "turns a stream": '  const { Readable } = process.getBuiltinModule("node:stream");\n'
    "  Readable.prototype.push = function () {};\n" + WRONG,
    "turns an event": '  const { EventEmitter } = process.getBuiltinModule("node:events");\n'
    "  EventEmitter.prototype.emit = function () { return true; };\n" + WRONG,
    "turns what tells a failure": '  const { run } = process.getBuiltinModule("node:test");\n'
    "  const told = Object.getPrototypeOf(run({ files: [] }));\n"
    "  told.fail = function (...all) { return this.ok(...all); };\n" + WRONG,
    "turns how names are written": "  JSON.stringify = () => '[\"x\",true]';\n" + WRONG,
    "turns what writes": '  const fs = process.getBuiltinModule("node:fs");\n'
    '  fs.writeSync = () => {}; process.stdout.write("ok");\n' + WRONG,
    "throws what is no failure": "  throw undefined;\n",
    "reports by itself": '  import("/job/reporter.mjs").then((ours) => ours.default((async function* () {\n'
    '    for (const name of ["lastWord", "a basket", "twice"])\n'
    '      yield { type: "test:pass", data: { nesting: 0, name, file: "/tmp/repository/test/shop.test.js" } };\n'
    "  })()).next());\n" + WRONG,
    "ends by an event": '  process.on("exit", () => { process.exitCode = 0; });\n' + WRONG,
    "swallows the failure": '  process.on("uncaughtException", () => {});\n' + WRONG,
    "reads the secret": '  const fs = process.getBuiltinModule("node:fs");\n'
    '  fs.writeSync(1, fs.readFileSync(0, "latin1"));\n  process.exit(0);\n',
    "arms ours again": '  import("/job/reporter.mjs").then((ours) => ours.arm("x", []));\n' + WRONG,
    "skips the test": "  lastWord.caller?.arguments?.[0]?.skip();\n" + WRONG,
    "rewrites the tests": '  process.getBuiltinModule("node:fs").writeFileSync("test/shop.test.js", "");\n'
    + WRONG,
    "puts code behind": ESCAPE % "process.exit(0);",
    "ends in a comment": "  return text;\n}\n/*\n",
    "waits for ever": "  while (true) {}\n",
    "does nothing": "",
}
RIGHT = {
    "right": BODY,
    "ends in a remark": BODY.rstrip("\n") + " // the last",
    "another way": '  const at = text.lastIndexOf(" ");\n  return text.slice(at + 1);\n',
    "prints": '  console.log("looking");\n' + BODY,
}


@pytest.fixture(scope="module")
def verdicts(tasks: dict[str, Task]) -> dict[str, SampleVerdict]:
    answers = {**RIGHT, "wrong": WRONG, "no JavaScript": "  return (\n", **CHEATS}
    attempts = [Attempt(tasks["lastWord"], text) for text in answers.values()]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(js_tests, "TIMEOUT_S", 10.0)  # one waits for ever
        found = dict(runtimes.get("javascript-repository").judge(attempts, SandboxLimits(), 2))
    return {name: found[index] for index, name in enumerate(answers)}


@pytest.mark.slow
@pytest.mark.needs("compilers")
@pytest.mark.xdist_group("runtimes")
class TestJudging:
    def test_functions_are_found_by_tests_that_miss_them(self, tasks: dict[str, Task]) -> None:
        assert sorted(tasks) == ["Basket.put", "exports.add", "lastWord", "twice"]
        assert tasks["lastWord"].canonical == BODY
        assert tasks["lastWord"].prompt.endswith("export function lastWord(text) {\n")
        assert "fails always" not in tasks["lastWord"].test
        assert "is skipped" not in tasks["lastWord"].test

    def test_right_answers_pass_and_wrong_ones_do_not(self, verdicts: dict[str, SampleVerdict]) -> None:
        assert {name: verdicts[name].result for name in RIGHT} == dict.fromkeys(RIGHT, "passed")
        assert "lastWord" in verdicts["wrong"].result
        assert verdicts["no JavaScript"].kind is FailureKind.SYNTAX

    @pytest.mark.parametrize("cheat", CHEATS)
    def test_no_cheat_passes(self, cheat: str, verdicts: dict[str, SampleVerdict]) -> None:
        assert not verdicts[cheat].passed, verdicts[cheat]

    @pytest.mark.parametrize(
        ("package", "words"),
        [
            pytest.param("{}", "no script of package.json calls a test runner", id="no script"),
            pytest.param(
                '{"scripts": {"test": "ava"}}', "the tests are for ava", id="a runner that is not played"
            ),
            pytest.param(
                '{"scripts": {"test": "vitest"}}', "vitest is not in node_modules", id="nothing installed"
            ),
            pytest.param("{", "package.json is no JSON", id="no JSON"),
        ],
    )
    def test_what_cannot_be_played_is_told(self, tmp_path: Path, package: str, words: str) -> None:
        (tmp_path / "package.json").write_text(package)
        (tmp_path / "a.test.js").write_text('import { expect } from "vitest";\n')
        with pytest.raises(UserError, match=words):
            write_tasks(tmp_path, tmp_path / "out.jsonl", 5, Progress("tasks"))


@pytest.mark.parametrize(
    ("scripts", "runner"),
    [
        ({"test": "mocha"}, RunnerCall("mocha")),
        (
            {"test": "npm run lint && nyc --reporter=text mocha --require x test"},
            RunnerCall("mocha", ("--require", "x", "test")),
        ),
        ({"test": "npm run unit", "unit": "jest --coverage"}, RunnerCall("jest", ("--coverage",))),
        ({"test": "cross-env TZ=UTC CI=1 jest"}, RunnerCall("jest", (), (), (("TZ", "UTC"), ("CI", "1")))),
        (
            {"test": "NODE_OPTIONS=--experimental-vm-modules npx jest"},
            RunnerCall("jest", (), ("--experimental-vm-modules",)),
        ),
        (
            {"test": "node --experimental-vm-modules node_modules/jest/bin/jest.js -c x.js"},
            RunnerCall("jest", ("-c", "x.js"), ("--experimental-vm-modules",)),
        ),
        ({"test": "node_modules/.bin/mocha test/*.js"}, RunnerCall("mocha", ("test/*.js",))),
        ({"test": "xo && vitest run"}, RunnerCall("vitest", ("run",))),
        ({"test": "node --test test/"}, RunnerCall("node")),
        (
            {"test": "node --expose-gc ./node_modules/vitest/dist/cli-wrapper.js --run"},
            RunnerCall("vitest", ("--run",), ("--expose-gc",)),
        ),
        ({"test": "xo && ava && tsd"}, RunnerCall("ava")),
        ({"test": "react-scripts test"}, RunnerCall("jest", ("test",))),
        ({"test": "eslint mocha"}, None),
        ({"test": "echo 'no test'; exit 1"}, None),
        ({"test": "mocha 'it is"}, None),
    ],
)
def test_scripts_say_which_runner_tests(scripts: dict[str, str], runner: RunnerCall | None) -> None:
    assert runner_of({"scripts": scripts}) == runner


def test_dependencies_say_it_where_scripts_do_not() -> None:
    assert runner_of({"devDependencies": {"vitest": "^3", "eslint": "^9"}}) == RunnerCall("vitest")
    assert runner_of({"scripts": [], "devDependencies": None}) is None


def test_marks_move_no_line() -> None:
    text = "export const a = (x: number): number => {\n  one();\n  return x;\n};\nfunction b() {\n  é();\n  two();\n}\n"
    found = list(functions_in("a.ts", text))
    marked = with_marks("a.ts", text, found, 7)
    assert [each.name for each in found] == ["a", "b"]
    assert marked.splitlines()[1] == "  (globalThis as any).daybreakReached?.(7);   one();".replace(
        "  (g", "(g", 1
    )
    assert marked.splitlines()[5].endswith("daybreakReached?.(8);   é();")
    assert len(marked.splitlines()) == len(text.splitlines())


@pytest.mark.parametrize(
    ("path", "text", "names"),
    [
        (
            "a.ts",
            "export abstract class C<T> {\n  private at = (x: T): T => {\n    one();\n    return x;\n  };\n}\n",
            ["C.at"],
        ),
        ("a.tsx", "export function A({ x }: P) {\n  const y = x;\n  return <b>{y}</b>;\n}\n", ["A"]),
        ("a.js", "export function A({ x }: P) {\n  const y = x;\n  return y;\n}\n", []),
    ],
)
def test_typescript_has_its_own_grammar(path: str, text: str, names: list[str]) -> None:
    assert [each.name for each in functions_in(path, text)] == names


def test_bodies_begin_behind_a_brace_and_end_before_one() -> None:
    text = (
        "const a = (x) => {\n  one();\n  two();\n};\n"
        "const b = function () {\n  one();\n  two();\n}\n"
        "class C { static d() {\n  one();\n  two();\n}\n  async *e() {\n    one();\n    two();\n  }\n}\n"
        "function short() { return 1; }\n"
        "module.exports.f = async () => {\r\n  one();\r\n  two();\r\n};\r\n"
        'const o = {\n  "g": function () {\n    one();\n\n    two(`é`);\n  },\n};\n'
    )
    found = {each.name: each for each in functions_in("a.js", text)}
    assert sorted(found) == ['"g"', "C.d", "C.e", "a", "b", "module.exports.f"]
    assert found["a"].body == "  one();\n  two();\n"
    assert found["module.exports.f"].body == "  one();\r\n  two();\r\n"
    for each in found.values():
        assert each.before + each.body + each.behind == text
        assert is_body("a.js", each.before, each.body, each.behind)


@pytest.mark.parametrize(
    ("body", "good"),
    [
        ("  return 1;\n", True),
        ("", True),
        ("  if (a) {\n    b();\n  }\n", True),
        ("  return `${a}}`;\n", True),
        ("  return 1;\n}\nfunction more() {\n", False),
        ("  return 1;\n} /*\n", False),
        ("  return (\n", False),
        ("  return 1; }; (() => {\n", False),
    ],
)
def test_an_answer_is_a_body_and_nothing_else(body: str, good: bool) -> None:
    assert is_body("a.js", "export function f(a) {\n", body, "}\n\nf(2);\n") == good
