// Jest's own runner of a test file; before its first test the assertions of that file's context are closed.
"use strict";
const { createRequire } = require("node:module");
const inRepository = createRequire("/tmp/repository/package.json");

module.exports = async function play(globalConfig, config, environment, runtime, file, ...others) {
  globalThis.daybreakFile = file;
  environment.global.daybreakReached = globalThis.daybreakReached;
  const own = { ...config, setupFilesAfterEnv: [...config.setupFilesAfterEnv, "/job/jest_closing.cjs"] };
  const jest = createRequire(inRepository.resolve("jest"));
  const core = createRequire(jest.resolve("@jest/core"));
  let runner;
  try {
    runner = core.resolve("jest-circus/runner");
  } catch {
    runner = createRequire(core.resolve("jest-config")).resolve("jest-circus/runner");
  }
  const found = require(runner);
  return (found.default ?? found)(globalConfig, own, environment, runtime, file, ...others);
};
