// Jest with the repository's own configuration, all test files one after another in this process, each in a context of its own.
"use strict";
const { createRequire } = require("node:module");
const inRepository = createRequire("/tmp/repository/package.json");
let outcomes = null;

/** Jest makes one by itself; a second tells nothing. */
class Told {
  constructor() {
    const told = outcomes;
    outcomes = null;
    if (told === null) return;
    this.onTestResult = (test, result) => {
      for (const each of result.testResults) {
        told.tell(test.path, each.fullName, each.status === "passed" || each.status === "failed" ? each.status : "");
      }
    };
    this.onRunComplete = () => told.end();
  }
}
module.exports = Told;

/** Jest takes a reporter by its file; this is where it is given what to tell. */
Told.start = async function start(given, args, files) {
  delete Told.start;
  outcomes = given;
  const jest = createRequire(inRepository.resolve("jest"));
  const { runCLI } = jest("@jest/core");
  const kept = { $0: "jest", _: files.map((file) => `/tmp/repository/${file}`), runTestsByPath: files.length > 0 };
  for (let i = 0; i < args.length; i += 1) {
    const [name, value] = args[i].split(/=(.*)/s);
    const known = { "-c": "config", "--config": "config", "--env": "env", "--testEnvironment": "testEnvironment", "--rootDir": "rootDir" }[name];
    if (known) kept[known] = value ?? args[(i += 1)];
    else if (!name.startsWith("-") && !files.length && !(args[i - 1] ?? "").startsWith("-")) kept._.push(args[i]);
  }
  await runCLI(
    {
      ...kept,
      runInBand: true,
      ci: true,
      coverage: false,
      watchman: false,
      cacheDirectory: "/tmp/jest",
      forceExit: true,
      silent: true,
      bail: 0,
      notify: false,
      reporters: ["/job/jest.cjs"],
      testRunner: "/job/jest_runner.cjs",
    },
    ["/tmp/repository"],
  );
  process.exit(0);
};
