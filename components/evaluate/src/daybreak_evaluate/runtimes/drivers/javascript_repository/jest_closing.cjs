// Runs in the context of each test file, behind what the repository sets up itself.
"use strict";
const { closeLanguage } = require("/job/closing.cjs");
const { expect } = globalThis;
const matchers = globalThis[Symbol.for("$$jest-matchers-object")];

beforeAll(() => {
  closeLanguage();
  if (typeof expect !== "function") return;
  const { extend } = expect;
  const known = new Set(Object.keys(matchers?.matchers ?? {}));
  expect.extend = function (more) {
    for (const name of Object.keys(more)) if (known.has(name)) throw new TypeError(`${name} stays as it is`);
    return extend.call(this, more);
  };
  for (const name of Object.keys(expect)) Object.defineProperty(expect, name, { writable: false, configurable: false });
  if (matchers?.matchers) {
    for (const name of known) Object.defineProperty(matchers.matchers, name, { writable: false, configurable: false });
  }
  Object.defineProperty(globalThis, "expect", { value: expect, writable: false, configurable: false });
});
