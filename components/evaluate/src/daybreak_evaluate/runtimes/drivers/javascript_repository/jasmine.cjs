// Jasmine with the repository's own configuration, in this process.
"use strict";
const { createRequire } = require("node:module");
const closing = require("/job/closing.cjs");
const inRepository = createRequire("/tmp/repository/package.json");
let isStarted = false;

exports.start = async function start(outcomes, args, files) {
  if (isStarted) return;
  isStarted = true;
  const Jasmine = inRepository("jasmine");
  const jasmine = new Jasmine({ projectBaseDir: "/tmp/repository" });
  const at = args.findIndex((each) => each === "--config" || each.startsWith("--config="));
  const config = at < 0 ? undefined : args[at].includes("=") ? args[at].split("=")[1] : args[at + 1];
  jasmine.exitOnCompletion = false;
  await jasmine.loadConfigFile(config);
  jasmine.clearReporters();
  const file = (result) => (result.filename ?? "").replace(/^file:\/\//, "");
  jasmine.addReporter({
    specStarted: (result) => void (globalThis.daybreakFile = file(result)),
    specDone: (result) => outcomes.tell(file(result), result.fullName, result.status),
  });
  jasmine.env.beforeAll(() => {
    closing.closeLanguage();
    for (const name of ["expect", "expectAsync"]) Object.defineProperty(globalThis, name, { writable: false, configurable: false });
  });
  const named = args.filter((each, place) => !each.startsWith("-") && place !== at + 1);
  const wanted = files.map((each) => `/tmp/repository/${each}`);
  await jasmine.execute(wanted.length ? wanted : named.length ? named : undefined);
  outcomes.end();
  process.exit(0);
};
