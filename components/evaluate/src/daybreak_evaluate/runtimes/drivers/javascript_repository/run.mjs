// Lays a copy of the repository out with the answer in it, closes what an answer could turn, and starts the tests' runner.
import fs from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { pathToFileURL } from "node:url";

const require = createRequire("/job/run.mjs");
const { closeNode } = require("/job/closing.cjs");
const { take } = require("/job/outcomes.cjs");

const SOURCE = "/repository";
const PLACE = "/tmp/repository";
const REACHED = "/tmp/reached";
const MAX_FILES = 6;
const order = JSON.parse(fs.readFileSync("/job/order.json", "utf8"));
const secret = fs.readFileSync(0, "latin1");
const outcomes = take(secret, order.tests, reached);

fs.cpSync(SOURCE, PLACE, { recursive: true, filter: (from) => path.basename(from) !== "node_modules" });
for (const folder of order.modules) {
  // a folder of links: runners keep their caches beside the packages
  fs.mkdirSync(`${PLACE}/${folder}`, { recursive: true });
  for (const name of fs.readdirSync(`${SOURCE}/${folder}`)) linked(`${folder}/${name}`);
}
order.replaced.forEach((file, number) => fs.writeFileSync(`${PLACE}/${file}`, fs.readFileSync(`/job/texts/${number}`)));
process.chdir(PLACE);
// an output is kept in part, and what is told is long
if (order.tests === null) process.stdout.write = process.stderr.write.bind(process.stderr);

/** A package that is a link into the repository itself leads into the copy. */
function linked(name) {
  if (path.basename(name).startsWith("@")) {
    fs.mkdirSync(`${PLACE}/${name}`);
    for (const below of fs.readdirSync(`${SOURCE}/${name}`)) linked(`${name}/${below}`);
    return;
  }
  const real = fs.realpathSync(`${SOURCE}/${name}`);
  const own = real.startsWith(`${SOURCE}/`) && !real.includes("/node_modules/");
  fs.symlinkSync(own ? `${PLACE}${real.slice(SOURCE.length)}` : `${SOURCE}/${name}`, `${PLACE}/${name}`);
}

/** Numbers of functions to the test files that reach them, the files that reach the fewest first. */
function reached() {
  const lines = fs.existsSync(REACHED) ? fs.readFileSync(REACHED, "utf8").trim().split("\n") : [];
  const places = new Map();
  const found = {};
  for (const line of lines) {
    const [number, file] = JSON.parse(line);
    const place = file.startsWith(`${PLACE}/`) ? file.slice(PLACE.length + 1) : file;
    places.set(place, (places.get(place) ?? 0) + 1);
    (found[number] ??= new Set()).add(place);
  }
  const names = [...places.keys()];
  const few = (files) => [...files].sort((a, b) => places.get(a) - places.get(b)).slice(0, MAX_FILES);
  return { names, of: Object.fromEntries(Object.entries(found).map(([number, files]) => [number, few(files).map((file) => names.indexOf(file))])) };
}

const seen = new Set();
const { appendFileSync } = fs;
const { stringify } = JSON;
globalThis.daybreakFile = "";
/** What the repository's functions say when it is asked which of them its tests reach. */
globalThis.daybreakReached = (number) => {
  const line = `${stringify([number, globalThis.daybreakFile])}\n`;
  if (seen.has(line)) return;
  seen.add(line);
  appendFileSync(REACHED, line);
};

/** Starts the runner; what keeps it from starting is said, for runners have handlers of their own for that. */
async function start() {
  if (order.runner === "node") return startNode();
  if (order.runner === "vitest") return (await import("/job/vitest.mjs")).start(outcomes, order.arguments, order.files);
  closeNode();
  return require(`/job/${order.runner}.cjs`).start(outcomes, order.arguments, order.files);
}

async function startNode() {
  const { run } = await import("node:test");
  const { Readable } = await import("node:stream");
  const streams = Object.getPrototypeOf(run({ files: [] }));
  for (let each = streams; each !== Readable.prototype && each !== null; each = Object.getPrototypeOf(each)) Object.freeze(each);
  const { arm } = await import("/job/reporter.mjs");
  arm(outcomes);
  closeNode();
  for (const file of order.files) {
    globalThis.daybreakFile = `${PLACE}/${file}`;
    await import(pathToFileURL(`${PLACE}/${file}`).href);
  }
}

await start().catch((error) => {
  fs.writeSync(2, `${error?.stack ?? error}\n`);
  process.exit(1);
});
