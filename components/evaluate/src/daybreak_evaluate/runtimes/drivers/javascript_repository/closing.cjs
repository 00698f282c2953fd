// Closes what an answer could turn: how assertions compare, and what results pass through.
"use strict";
const assert = require("node:assert");
const { EventEmitter } = require("node:events");
const { Readable } = require("node:stream");
const { pathToFileURL } = require("node:url");

const MAX_CLOSED = 5000;
const NAMES = ["chai", "expect", "should", "must", "assert", "@hapi/code"];
const LIBRARIES = /\/node_modules\/(?:chai|expect|expect\.js|should|should-\w+|must|power-assert|assert|unexpected|code|@hapi\/code)\//;

/** Instances may still have a method of their own by this name; the prototype keeps its. */
function keep(prototype, name) {
  const value = prototype[name];
  const own = Object.getOwnPropertyDescriptor(prototype, name);
  if (own !== undefined && !own.configurable) return;
  Object.defineProperty(prototype, name, {
    configurable: false,
    get: () => value,
    set(other) {
      if (this === prototype) throw new TypeError(`${name} stays as it is`);
      Object.defineProperty(this, name, { value: other, writable: true, configurable: true, enumerable: true });
    },
  });
}

/** What is written to standard methods of everybody's. */
exports.closeNode = function closeNode() {
  for (const name of ["push", "read", "pipe", "on"]) keep(Readable.prototype, name);
  for (const name of ["emit", "on", "once", "addListener"]) keep(EventEmitter.prototype, name);
  for (const each of [assert, assert.strict, assert.AssertionError, assert.AssertionError.prototype]) Object.freeze(each);
};

/** Every function of a prototype. */
exports.keepAll = function keepAll(prototype) {
  for (const name of Object.getOwnPropertyNames(prototype)) {
    const own = Object.getOwnPropertyDescriptor(prototype, name);
    if (typeof own.value === "function" && name !== "constructor") keep(prototype, name);
  }
};

/** What comparisons ask of the language, in the context that this file runs in. */
exports.closeLanguage = function closeLanguage() {
  for (const each of [Object, Reflect, Array, Number, JSON]) {
    for (const name of Object.getOwnPropertyNames(each)) {
      const own = Object.getOwnPropertyDescriptor(each, name);
      if (typeof own.value === "function" && own.configurable && name !== "prototype") {
        Object.defineProperty(each, name, { writable: false, configurable: false });
      }
    }
  }
  for (const each of [Object, Array, String, RegExp, Function, Map, Set, Number, Boolean]) exports.keepAll(each.prototype);
};

/** An assertion library's functions and prototypes, and what hangs on them. */
function close(root) {
  const waiting = [root];
  const seen = new Set();
  while (waiting.length && seen.size < MAX_CLOSED) {
    const each = waiting.pop();
    if (each === null || (typeof each !== "object" && typeof each !== "function") || seen.has(each)) continue;
    if (each === globalThis || each === Object.prototype || each === Function.prototype || each === process) continue;
    seen.add(each);
    for (const name of Reflect.ownKeys(each)) {
      const own = Object.getOwnPropertyDescriptor(each, name);
      if (own === undefined) continue;
      if (!("value" in own)) {
        if (own.configurable) Object.defineProperty(each, name, { configurable: false });
        continue;
      }
      const { value } = own;
      if (typeof value === "function") {
        waiting.push(value);
        if (own.configurable && own.writable && name !== "constructor") keep(each, name);
      } else if (value !== null && typeof value === "object" && !Array.isArray(value)) waiting.push(value);
    }
    if (typeof each === "function" && each.prototype) waiting.push(each.prototype);
  }
}
exports.close = close;

/** The assertion libraries that are modules, which no cache shows. */
exports.libraries = async function libraries(inRepository) {
  const found = [];
  for (const name of NAMES) {
    let file;
    try {
      file = inRepository.resolve(name);
    } catch {
      continue;
    }
    if (file.includes("/node_modules/")) found.push(await import(pathToFileURL(file).href).catch(() => null));
  }
  return found;
};

/** The assertion libraries that were loaded, once all test files were. */
exports.closeLibraries = function closeLibraries(modules) {
  for (const each of modules) close(each);
  for (const [file, loaded] of Object.entries(require.cache)) {
    if (LIBRARIES.test(file)) close(loaded.exports);
  }
};
