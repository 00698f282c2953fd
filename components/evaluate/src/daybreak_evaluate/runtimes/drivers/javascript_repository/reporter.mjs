// The reporter of Node's own runner, which is called before the first test: whoever calls it once more is not heard.
let outcomes = null;
let isBegun = false;

/** Once, before any of the repository's code runs. */
export function arm(given) {
  if (outcomes === null) outcomes = given;
}

export default (source) => {
  const told = isBegun ? null : outcomes;
  isBegun = true;
  return report(source, told);
};

async function* report(source, told) {
  if (told === null) return;
  for await (const event of source) {
    const { type, data } = event;
    if ((type !== "test:pass" && type !== "test:fail") || data.nesting !== 0) continue;
    const skipped = data.skip !== undefined || data.todo !== undefined;
    told.tell(data.file === undefined ? "" : data.file, data.name, type === "test:fail" ? "failed" : skipped ? "" : "passed");
  }
  told.end();
}
