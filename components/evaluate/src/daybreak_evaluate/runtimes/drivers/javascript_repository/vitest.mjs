// Vitest with the repository's own configuration. Its tests run in workers; this process, which has the secret, runs none of them.
import dns from "node:dns";
import fs from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const inRepository = createRequire("/tmp/repository/package.json");
const SETUP = "/tmp/repository/.daybreak-setup.mjs";

export async function start(outcomes, args, files) {
  const { lookup } = dns.promises;
  // vite asks what localhost is, and in the sandbox nobody knows
  dns.promises.lookup = async (name, ...more) =>
    name === "localhost" ? { address: "127.0.0.1", family: 4 } : lookup(name, ...more);
  const { startVitest } = await import(pathToFileURL(inRepository.resolve("vitest/node")).href);
  fs.copyFileSync("/job/vitest_setup.mjs", SETUP);
  const options = {
    watch: false,
    run: true,
    cache: false,
    passWithNoTests: true,
    allowOnly: true,
    bail: 0,
    coverage: { enabled: false },
    typecheck: { enabled: false },
    reporters: [{}],
  };
  for (let i = 0; i < args.length; i += 1) {
    const [name, value] = args[i].split(/=(.*)/s);
    const known = { "-c": "config", "--config": "config", "--root": "root", "-r": "root", "--dir": "dir", "--environment": "environment" }[name];
    if (known) options[known] = value ?? args[(i += 1)];
    else if (name === "--globals") options.globals = true;
  }
  const ours = { name: "daybreak", config: () => ({ test: { setupFiles: [SETUP] } }) };
  const filters = files.map((file) => `/tmp/repository/${file}`);
  const vitest = await startVitest("test", filters, options, { plugins: [ours] });
  for (const file of vitest?.state.getFiles() ?? []) walk(file, "", file.filepath, outcomes);
  outcomes.end();
  process.exit(0);
}

function walk(suite, title, file, outcomes) {
  for (const task of suite.tasks ?? []) {
    const full = title ? `${title} > ${task.name}` : task.name;
    if (task.type === "suite") walk(task, full, file, outcomes);
    else outcomes.tell(file, full, { pass: "passed", fail: "failed" }[task.result?.state] ?? "");
  }
}
