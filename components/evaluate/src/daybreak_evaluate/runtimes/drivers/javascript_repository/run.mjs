// Lays a copy of the repository out with the answer in it, closes what an answer could turn, and imports the tests.
import assert from "node:assert";
import { EventEmitter } from "node:events";
import fs from "node:fs";
import inspector from "node:inspector";
import path from "node:path";
import { Readable } from "node:stream";
import { run } from "node:test";
import { pathToFileURL } from "node:url";
import { arm } from "/job/reporter.mjs";

const PLACE = "/tmp/repository";
const order = JSON.parse(fs.readFileSync("/job/order.json", "utf8"));
const secret = fs.readFileSync(0, "latin1");

fs.cpSync("/repository", PLACE, { recursive: true, filter: (from) => path.basename(from) !== "node_modules" });
if (fs.existsSync("/repository/node_modules")) fs.symlinkSync("/repository/node_modules", `${PLACE}/node_modules`);
if (order.path) fs.writeFileSync(`${PLACE}/${order.path}`, fs.readFileSync("/job/answer"));
process.chdir(PLACE);

/** Instances may still have a method of their own by this name; the prototype keeps its. */
function keep(prototype, name) {
  const value = prototype[name];
  Object.defineProperty(prototype, name, {
    configurable: false,
    get: () => value,
    set(other) {
      if (this === prototype) throw new TypeError(`${name} stays as it is`);
      Object.defineProperty(this, name, { value: other, writable: true, configurable: true, enumerable: true });
    },
  });
}

const streams = Object.getPrototypeOf(run({ files: [] }));
for (let each = streams; each !== Readable.prototype && each !== null; each = Object.getPrototypeOf(each)) Object.freeze(each);
for (const name of ["push", "read", "pipe", "on"]) keep(Readable.prototype, name);
for (const name of ["emit", "on", "once", "addListener"]) keep(EventEmitter.prototype, name);
for (const each of [assert, assert.strict, assert.AssertionError, assert.AssertionError.prototype]) Object.freeze(each);

/** Where the whole repository is looked at: which of its functions ran, by file and by where they end in it. */
function watched() {
  const session = new inspector.Session();
  session.connect();
  session.post("Profiler.enable");
  session.post("Profiler.startPreciseCoverage", { callCount: true, detailed: false });
  return () => {
    let said = "";
    session.post("Profiler.takePreciseCoverage", (error, found) => {
      for (const { url, functions } of found.result) {
        if (!url.startsWith(`file://${PLACE}/`)) continue;
        const ends = functions.filter((each) => each.ranges[0].count > 0).map((each) => each.ranges[0].endOffset);
        said += `${JSON.stringify({ file: decodeURIComponent(url.slice(`file://${PLACE}/`.length)), ends })}\n`;
      }
    });
    return said;
  };
}

arm(secret, order.tests, order.tests === null && !order.path ? watched() : () => "");
for (const file of order.files) await import(pathToFileURL(`${PLACE}/${file}`).href);
