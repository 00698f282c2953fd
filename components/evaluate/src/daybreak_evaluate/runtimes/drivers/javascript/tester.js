// The test's side: runs the test with stand-ins for the answer's functions. Nothing of the answer runs here.
'use strict';
const fs = require('fs');
const { encode, decode, send, receive, makeError } = require('./values.js');
const LIMIT = 64 << 20;
const { names: asked, guarded, helpers, source } = JSON.parse(fs.readFileSync(`${__dirname}/names.json`, 'utf8'));
const names = guarded ? asked.filter((name) => !(name in globalThis)) : asked; // what the language has stays what it is
const test = fs.readFileSync(source, 'utf8');

function fail(message, status = 1) {
  fs.writeSync(2, `${String(message).slice(0, 4000)}\n`);
  process.exit(status);
}

/** No answer is no error that a test could expect: nothing here throws. */
function hear() {
  try {
    const reply = receive(LIMIT);
    if (reply === null) fail('the program ended before its test was over', 3);
    const said = JSON.parse(reply);
    if ('broken' in said) fail(said.broken, 4);
    return said;
  } catch (error) {
    return fail(`a broken answer: ${error.message}`, 3);
  }
}

function opened(reply, args) {
  try {
    if (reply.args && reply.value?.$ === 'undefined') reply.args.forEach((each, index) => renew(args[index], each));
    return 'promise' in reply ? Promise.resolve(decode(reply.promise)) : decode(reply.value);
  } catch (error) {
    return fail(`a broken answer: ${error.message}`, 3);
  }
}

function renew(before, document) {
  const after = decode(document);
  if (Array.isArray(before) && Array.isArray(after)) before.splice(0, before.length, ...after);
  else if (before instanceof Map && after instanceof Map) { before.clear(); after.forEach((each, key) => before.set(key, each)); }
  else if (before instanceof Set && after instanceof Set) { before.clear(); after.forEach((each) => before.add(each)); }
  else if (before !== null && after !== null && typeof before === 'object' && typeof after === 'object') {
    for (const key of Object.keys(before)) delete before[key];
    Object.assign(before, after);
  }
}

function standIn(name) {
  return (...args) => {
    send(JSON.stringify({ name, args: args.map((each) => encode(each)) }));
    const reply = hear();
    if (reply.error) throw makeError(reply.error);
    return opened(reply, args);
  };
}

function trustedHelpers() {
  if (!helpers.names.length) return {};
  const table = helpers.names.map((name) => `${JSON.stringify(name)}: typeof ${name} === 'undefined' ? undefined : ${name}`);
  for (const end of ['', '\n}', '\n})', '\n};', '\n}}']) {
    try {
      return new Function('require', `${helpers.source}${end}\n;return {${table.join(', ')}};`)(require);
    } catch { /* the prompt is cut elsewhere */ }
  }
  return {};
}

const loaded = hear();
if (loaded.error) fail(`${loaded.error[0]}: ${loaded.error[1]}`, loaded.error[0] === 'SyntaxError' ? 2 : 4);
const own = trustedHelpers();
const scope = { ...Object.fromEntries([...names, ...helpers.names].map((name) => [name, standIn(name)])), ...own };
console.assert = (condition, ...words) => {
  if (!condition) { const error = new Error(`Assertion failed ${words.join(' ')}`); error.name = 'AssertionError'; throw error; }
};
process.on('unhandledRejection', (error) => fail(error && error.stack ? `${error.name}: ${error.message}` : error));
try {
  new Function('require', 'module', 'exports', ...Object.keys(scope), test)(require, module, exports, ...Object.values(scope));
} catch (error) {
  fail(`${error && error.name}: ${error && error.message}`);
}
