// Says which tests passed and, when all that are wanted did, the secret. It is written by what was taken before the repository's
// code ran: an answer can turn any method that everybody can reach.
import fs from "node:fs";

const { writeSync } = fs;
const { stringify } = JSON;
let secret = "";
let wanted = null;
let reached = () => "";

/** Once, before any of the repository's code runs. */
export function arm(given, names, functions) {
  if (secret !== "") return;
  secret = given;
  wanted = names;
  reached = functions;
}

export default async function* report(source) {
  const passed = { __proto__: null };
  const failed = { __proto__: null };
  let names = "";
  for await (const event of source) {
    const { type, data } = event;
    if ((type !== "test:pass" && type !== "test:fail") || data.nesting !== 0) continue;
    const file = data.file === undefined ? "" : data.file;
    const name = `${file}::${data.name}`;
    const skipped = data.skip !== undefined || data.todo !== undefined;
    if (type === "test:fail") failed[name] = true;
    else if (!skipped) passed[name] = true;
    if (wanted !== null) continue;
    names += `${stringify([name, type === "test:pass" && !skipped])}\n`;
  }
  let all = true;
  if (wanted !== null) {
    for (let i = 0; i < wanted.length; i += 1) {
      if (passed[wanted[i]] !== true || failed[wanted[i]] === true) {
        all = false;
        writeSync(2, `not passed: ${wanted[i]}\n`);
        break;
      }
    }
  }
  writeSync(1, `${names}\n${reached()}\n`);
  if (all) writeSync(1, `${secret}\n`);
}
