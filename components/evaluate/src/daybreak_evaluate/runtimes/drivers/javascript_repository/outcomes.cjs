// Says which tests passed and, when all that are wanted did, the secret. It is written by what was taken before the repository's
// code ran: an answer can turn any method that everybody can reach.
"use strict";
const { writeSync } = require("node:fs");
const { deflateSync } = require("node:zlib");
const { stringify } = JSON;
const PLACE = "/tmp/repository/";
let isTaken = false;

/** The path within the repository; no method of a string is asked. */
function within(file) {
  let rest = "";
  for (let i = 0; i < file.length; i += 1) {
    if (i >= PLACE.length) rest += file[i];
    else if (file[i] !== PLACE[i]) return file;
  }
  return rest;
}

/** Once, before any of the repository's code runs: what a runner tells of tests, and that all are over. */
exports.take = function take(secret, wanted, reached) {
  if (isTaken) throw new Error("there is one teller of outcomes");
  isTaken = true;
  const passed = { __proto__: null };
  const failed = { __proto__: null };
  const files = { __proto__: null };
  let isOver = false;

  /** ``state``: passed, failed or anything else, for one that did not run. */
  function tell(path, title, state) {
    const file = within(`${path}`);
    const name = `${file}::${title}`;
    if (state === "failed") failed[name] = true;
    else if (state === "passed") passed[name] = true;
    if (wanted !== null) return;
    const tests = (files[file] ??= { __proto__: null });
    tests[title] = state === "passed" && tests[title] !== false;
  }

  function end() {
    if (isOver) return;
    isOver = true;
    let all = true;
    if (wanted === null) {
      const told = deflateSync(stringify({ files, reached: reached() })).toString("base64");
      writeSync(1, `\ntold: ${told}\n`);
    } else {
      for (let i = 0; i < wanted.length; i += 1) {
        if (passed[wanted[i]] !== true || failed[wanted[i]] === true) {
          all = false;
          writeSync(2, `not passed: ${wanted[i]}\n`);
          break;
        }
      }
    }
    if (all) writeSync(1, `\n${secret}\n`);
  }
  return { tell, end };
};
