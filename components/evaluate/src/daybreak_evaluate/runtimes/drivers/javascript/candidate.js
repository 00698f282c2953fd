// The answer's side: loads the program, then answers calls with plain data. Holds no test and no verdict.
'use strict';
const fs = require('fs');
const { encode, decode, send, receive, NotPlainError } = require('./values.js');
const LIMIT = 64 << 20;
const { names, source } = JSON.parse(fs.readFileSync(`${__dirname}/names.json`, 'utf8'));

function failure(error) {
  let name = 'Error', message = 'an error that cannot be shown';
  try { name = String(error.name); message = String(error.message ?? error).slice(0, 2000); } catch { /* hostile */ }
  return JSON.stringify(error instanceof NotPlainError ? { broken: message } : { error: [name, message] });
}

function outcome(value, before, args) {
  const reply = { value: encode(value) };
  if (value !== undefined) return JSON.stringify(reply); // what works in place answers with nothing
  const after = JSON.stringify(args.map((each) => { try { return encode(each); } catch { return null; } }));
  if (after !== before) reply.args = JSON.parse(after);
  return JSON.stringify(reply);
}

async function main() {
  let found;
  try {
    const text = fs.readFileSync(source, 'utf8').replace(/^#!.*/, '').replace(/^export\s+(default\s+)?/gm, '');
    const table = names.map((name) => `${JSON.stringify(name)}: typeof ${name} === 'undefined' ? undefined : ${name}`);
    found = new Function('require', 'module', 'exports', `${text}\n;return {${table.join(', ')}};`)(require, module, exports);
    send(JSON.stringify({ value: true }));
  } catch (error) {
    send(failure(error));
    return;
  }
  for (;;) {
    const request = receive(LIMIT);
    if (request === null) return;
    const { name, args } = JSON.parse(request);
    let reply;
    try {
      const values = args.map(decode);
      const before = JSON.stringify(args);
      if (typeof found[name] !== 'function') throw new ReferenceError(`${name} is not a function`);
      const value = found[name](...values);
      if (value !== null && typeof value === 'object' && typeof value.then === 'function') {
        reply = JSON.stringify({ promise: encode(await value) });
      } else {
        reply = outcome(value, before, values);
      }
    } catch (error) {
      reply = failure(error);
    }
    send(reply);
  }
}

main().then(() => process.exit(0));
