// Mocha with the repository's own options, in this process.
"use strict";
const { createRequire } = require("node:module");
const closing = require("/job/closing.cjs");
const inRepository = createRequire("/tmp/repository/package.json");
let outcomes = null;
let modules = [];

/** Mocha makes one by itself; a second tells nothing. */
class Told {
  constructor(runner) {
    const told = outcomes;
    outcomes = null;
    if (told === null) return;
    const at = (test) => test.file || "";
    runner.once("start", () => {
      closing.closeLibraries(modules);
      closing.closeLanguage();
    });
    runner.on("test", (test) => (globalThis.daybreakFile = at(test)));
    runner.on("hook", (hook) => (globalThis.daybreakFile = at(hook)));
    runner.on("pass", (test) => told.tell(at(test), test.fullTitle(), "passed"));
    runner.on("fail", (test) => told.tell(at(test), test.fullTitle(), "failed"));
    runner.on("pending", (test) => told.tell(at(test), test.fullTitle(), ""));
    runner.once("end", () => told.end());
  }
}
module.exports = Told;

/** Mocha takes a reporter by its file; this is where it is given what to tell. */
Told.start = async function start(given, args, files) {
  delete Told.start;
  outcomes = given;
  modules = await closing.libraries(inRepository);
  const mocha = inRepository("mocha");
  for (const each of [mocha, mocha.Runner, mocha.Runnable, mocha.Suite, mocha.Test, mocha.Hook]) if (each) closing.keepAll(each.prototype);
  const ours = ["--reporter", "/job/mocha.cjs"];
  let loading;
  try {
    loading = inRepository("mocha/lib/cli/options");
  } catch {
    // before mocha 6: all files, whichever are wanted
    process.argv = [process.argv[0], "mocha", ...args, ...ours];
    inRepository("mocha/bin/_mocha");
    return;
  }
  const options = loading.loadOptions([...args, ...ours, "--no-bail", "--exit"]);
  Object.assign(options, { parallel: false, bail: false, forbidOnly: false, forbidPending: false });
  if (files.length) options._ = files.map((file) => `/tmp/repository/${file}`);
  loading.loadOptions = () => options;
  inRepository("mocha/lib/cli/cli").main([], options);
};
