// Runs in the worker of each test file: says which functions run, and closes the assertions before the first test.
import fs from "node:fs";
import { createRequire } from "node:module";
import { beforeAll, chai, expect } from "vitest";

const file = expect.getState().testPath ?? globalThis.__vitest_worker__?.filepath ?? "";
const { closeLanguage } = createRequire("/job/")("/job/closing.cjs");
const seen = new Set();
const { appendFileSync } = fs;
globalThis.daybreakReached = (number) => {
  if (seen.has(number)) return;
  seen.add(number);
  appendFileSync("/tmp/reached", `${JSON.stringify([number, file])}\n`);
};

function hold(holder, name) {
  const own = Object.getOwnPropertyDescriptor(holder, name);
  if (own?.configurable) Object.defineProperty(holder, name, "value" in own ? { writable: false, configurable: false } : { configurable: false });
}
beforeAll(() => {
  closeLanguage();
  const { extend } = expect;
  const known = new Set(Object.getOwnPropertyNames(chai.Assertion.prototype));
  expect.extend = (more) => {
    for (const name of Object.keys(more)) if (known.has(name)) throw new TypeError(`${name} stays as it is`);
    return extend(more);
  };
  for (const holder of [expect, chai, chai.assert, chai.Assertion, chai.util]) for (const name of Object.keys(holder)) hold(holder, name);
  const { prototype } = chai.Assertion;
  for (const name of Object.getOwnPropertyNames(prototype)) hold(prototype, name);
});
