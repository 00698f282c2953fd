"""JavaScript and TypeScript repositories whose tests mocha, jest, vitest or jasmine run.

The runners themselves are npm's: ``DAYBREAK_JS_RUNNERS`` names a folder in which ``npm install mocha chai jest vitest
jasmine`` was run. Without it, what needs them is skipped.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from daybreak_contracts.progress import Progress
from daybreak_evaluate.judge.values import SampleVerdict, SandboxLimits
from daybreak_evaluate.runtimes import registry as runtimes
from daybreak_evaluate.runtimes.in_repository import js_tests
from daybreak_evaluate.runtimes.in_repository.write_tasks import write_tasks
from daybreak_evaluate.runtimes.protocol import Attempt
from daybreak_evaluate.suites import problem_suite
from daybreak_evaluate.task import Task
from tests.evaluate.suites.own_problems import suite_of

BODY = '  const words = text.split(" ").filter(Boolean);\n  return words[words.length - 1] ?? "";\n'
FUNCTION = f"export function lastWord(text) {{\n{BODY}}}\n"
TYPED = f"export function lastWord(text: string): string {{\n{BODY}}}\n\nexport type Word = string;\n"
COMMON = f"exports.lastWord = function (text) {{\n{BODY}}};\n"
CASES = 'for (const [text, want] of [["a b", "b"], ["", ""], ["x", "x"]])'
EXPECTED = (
    'describe("words", () => {\n  it("lastWord", () => {\n    '
    f"{CASES} expect(lastWord(text)).toBe(want);\n  }});\n}});\n"
)
REPOSITORIES = {
    "mocha": {
        "package.json": '{"scripts": {"test": "npm run lint && nyc mocha --require ./test/setup.js '
        "'test/**/*.spec.js'\"}}",
        "src/words.js": COMMON,
        "test/setup.js": "globalThis.assert = require('node:assert');\n",
        "test/deep/words.spec.js": 'const { lastWord } = require("../../src/words");\n'
        f'describe("words", () => {{\n  it("lastWord", () => {{\n    {CASES} assert.equal(lastWord(text), want);'
        f"\n  }});\n}});\n",
    },
    "mocha and chai": {
        "package.json": '{"type": "module", "scripts": {"test": "mocha"}}',
        "src/words.js": FUNCTION,
        "test/words.js": 'import { expect } from "chai";\nimport { lastWord } from "../src/words.js";\n'
        + EXPECTED.replace("toBe", "to.equal"),
    },
    "jest": {
        "package.json": '{"scripts": {"test": "TZ=UTC jest --coverage"}}',
        "src/words.js": COMMON,
        "src/__tests__/words.js": 'const { lastWord } = require("../words");\n' + EXPECTED,
    },
    "vitest": {
        "package.json": '{"type": "module", "scripts": {"lint": "eslint", "test": "npm run lint && vitest run '
        '--coverage"}}',
        "src/words.ts": TYPED,
        "vitest.config.ts": 'import { defineConfig } from "vitest/config";\nexport default defineConfig({ test: '
        "{ globals: false } });\n",
        "test/words.test.ts": 'import { describe, expect, it } from "vitest";\nimport { lastWord } from '
        '"../src/words";\n' + EXPECTED,
    },
    "jasmine": {
        "package.json": '{"scripts": {"test": "jasmine"}}',
        "lib/words.js": COMMON,
        "spec/support/jasmine.json": '{"spec_dir": "spec", "spec_files": ["**/*[sS]pec.js"]}',
        "spec/wordsSpec.js": 'const { lastWord } = require("../lib/words");\n' + EXPECTED,
    },
}
WRONG = "  return text;\n"
RIGHT = {
    "right": BODY,
    "another way": '  const at = text.lastIndexOf(" ");\n  return text.slice(at + 1);\n',
    "prints": '  console.log("looking");\n' + BODY,
}
REQUIRE = (
    '  const need = process.getBuiltinModule("node:module").createRequire("/tmp/repository/package.json");\n'
)
CHEATS = {
    "leaves the process": "  process.exit(0);\n",
    "leaves it by another way": "  process.reallyExit(0);\n",
    "kills it": "  process.kill(process.pid);\n",
    "does nothing": "",
    "throws nothing": "  throw undefined;\n",
    "waits for ever": "  while (true) {}\n",
    "turns Node's assertions": '  const a = process.getBuiltinModule("node:assert"); a.strict.equal = () => {}; '
    "a.equal = () => {};\n" + WRONG,
    "turns the proof of equality": "  Object.is = () => true;\n" + WRONG,
    "takes the matcher's place": "  globalThis.expect?.extend?.({ toBe: () => ({ pass: true }) });\n" + WRONG,
    "takes the assertion's place": "  globalThis.expect = () => ({ toBe() {}, to: { equal() {} } });\n"
    + WRONG,
    "turns chai": REQUIRE + '  const { Assertion } = need("chai");\n'
    '  Assertion.overwriteMethod("equal", () => function () {}); Assertion.prototype.assert = () => {};\n'
    + WRONG,
    "turns mocha": REQUIRE + '  const { Runner, Runnable } = need("mocha");\n'
    '  Runner.prototype.fail = function (test) { this.emit("pass", test); }; Runnable.prototype.run = (done) => '
    "done();\n" + WRONG,
    "tells by itself": '  const ours = process.getBuiltinModule("node:module").createRequire("/job/");\n'
    '  ours("/job/outcomes.cjs").take("", null, () => "");\n' + WRONG,
    "starts anew": '  const ours = process.getBuiltinModule("node:module").createRequire("/job/");\n'
    '  for (const each of ["mocha", "jest", "jasmine"]) try { ours(`/job/${each}.cjs`).start({ tell() {}, end() '
    "{} }, [], []); } catch {}\n" + WRONG,
    "reads the secret": '  const fs = process.getBuiltinModule("node:fs");\n'
    '  fs.writeSync(1, fs.readFileSync(0, "latin1"));\n  process.exit(0);\n',
    "rewrites the order": '  try { process.getBuiltinModule("node:fs").writeFileSync("/job/order.json", "{}"); '
    "} catch {}\n" + WRONG,
    "swallows the failure": '  process.on("uncaughtException", () => {});\n' + WRONG,
    "puts code behind": "  return text;\n}\nprocess.exit(0);\nfunction more() {\n",
}


def install(folder: Path, installed: Path, names: list[str]) -> None:
    """Copy packages and what they need."""
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        source, target = installed / "node_modules" / name, folder / "node_modules" / name
        if source.is_dir() and not target.exists():
            shutil.copytree(source, target, copy_function=os.link)
            for file in (target / "package.json", *target.glob("node_modules/*/package.json")):
                said = json.loads(file.read_bytes())
                waiting += [*said.get("dependencies", {}), *said.get("optionalDependencies", {})]


@pytest.fixture(scope="module", params=REPOSITORIES)
def task(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Task:
    runtime = runtimes.get("javascript-repository")
    if not runtime.probe().works:
        pytest.skip(runtime.probe().remedy)
    installed = os.environ.get("DAYBREAK_JS_RUNNERS", "")
    if not installed:
        pytest.skip("DAYBREAK_JS_RUNNERS names no folder with npm's runners")
    folder = tmp_path_factory.mktemp("repository")
    for name, text in REPOSITORIES[request.param].items():
        path = folder / "words" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    install(folder / "words", Path(installed), request.param.split(" and "))
    write_tasks(folder / "words", folder / "tasks.jsonl", 10, Progress("tasks"))
    suite = suite_of(folder / "tasks.jsonl", "Repository")
    assert suite.problems is not None
    (found,) = problem_suite.tasks_of(suite.problems)
    return found


@pytest.fixture(scope="module")
def verdicts(task: Task) -> dict[str, SampleVerdict]:
    answers = {**RIGHT, "wrong": WRONG, **CHEATS}
    attempts = [Attempt(task, text) for text in answers.values()]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(js_tests, "TIMEOUT_S", 15.0)  # one waits for ever
        found = dict(runtimes.get("javascript-repository").judge(attempts, SandboxLimits(), 2))
    return {name: found[index] for index, name in enumerate(answers)}


@pytest.mark.slow
@pytest.mark.needs("compilers")
@pytest.mark.xdist_group("runtimes")
class TestJudging:
    def test_the_function_is_found(self, task: Task) -> None:
        assert task.canonical == BODY

    def test_right_answers_pass_and_wrong_ones_do_not(self, verdicts: dict[str, SampleVerdict]) -> None:
        assert {name: verdicts[name].result for name in RIGHT} == dict.fromkeys(RIGHT, "passed")
        assert "lastWord" in verdicts["wrong"].result

    @pytest.mark.parametrize("cheat", CHEATS)
    def test_no_cheat_passes(self, cheat: str, verdicts: dict[str, SampleVerdict]) -> None:
        assert not verdicts[cheat].passed, verdicts[cheat]
