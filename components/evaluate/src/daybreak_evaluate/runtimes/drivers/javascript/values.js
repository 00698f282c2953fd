// Plain data between the test's process and the answer's, as JSON that keeps what JSON alone would lose.
'use strict';
const fs = require('fs');

class NotPlainError extends Error {}
const MAX_DEPTH = 200;

function encode(value, depth = 0) {
  if (depth > MAX_DEPTH) throw new NotPlainError('nested too deeply, or within itself');
  switch (typeof value) {
    case 'string': case 'boolean': return value;
    case 'number': return Number.isFinite(value) && !Object.is(value, -0) ? value : { $: 'number', v: Object.is(value, -0) ? '-0' : String(value) };
    case 'undefined': return { $: 'undefined' };
    case 'bigint': return { $: 'bigint', v: String(value) };
    case 'function': case 'symbol': throw new NotPlainError(`a ${typeof value} is not plain data`);
  }
  if (value === null) return null;
  const inner = (each) => encode(each, depth + 1);
  if (Array.isArray(value)) return Array.from(value, inner);
  if (value instanceof Map) return { $: 'map', v: Array.from(value, ([key, each]) => [inner(key), inner(each)]) };
  if (value instanceof Set) return { $: 'set', v: Array.from(value, inner) };
  if (value instanceof Date) return { $: 'date', v: inner(value.getTime()) };
  if (value instanceof RegExp) return { $: 'regexp', v: [value.source, value.flags] };
  if (value instanceof Number || value instanceof String || value instanceof Boolean) return inner(value.valueOf());
  if (ArrayBuffer.isView(value) && !(value instanceof DataView)) return { $: 'typed', k: value.constructor.name, v: Array.from(value, inner) };
  if (value instanceof Error) return { $: 'error', v: [String(value.name), String(value.message)] };
  return { $: 'object', v: Object.keys(value).map((key) => [key, inner(value[key])]) };
}

const TYPED = { Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array, Int32Array, Uint32Array, Float32Array, Float64Array, BigInt64Array, BigUint64Array, Buffer };
const ERRORS = { Error, TypeError, RangeError, SyntaxError, ReferenceError, EvalError, URIError };

function makeError([name, message]) {
  const Kind = Object.hasOwn(ERRORS, name) ? ERRORS[name] : Error;
  const error = new Kind(message);
  if (Kind === Error) error.name = String(name);
  return error;
}

function decode(document) {
  if (Array.isArray(document)) return document.map(decode);
  if (document === null || typeof document !== 'object') return document;
  const content = document.v;
  switch (document.$) {
    case 'number': return Number(content);
    case 'undefined': return undefined;
    case 'bigint': return BigInt(content);
    case 'map': return new Map(content.map(([key, each]) => [decode(key), decode(each)]));
    case 'set': return new Set(content.map(decode));
    case 'date': return new Date(decode(content));
    case 'regexp': return new RegExp(content[0], content[1]);
    case 'typed': return Object.hasOwn(TYPED, document.k) ? TYPED[document.k].from(content.map(decode)) : undefined;
    case 'error': return makeError(content);
    case 'object': {
      const object = {};
      for (const [key, each] of content) Object.defineProperty(object, key, { value: decode(each), writable: true, enumerable: true, configurable: true });
      return object;
    }
    default: throw new Error('not plain data');
  }
}

function send(text) {
  const data = Buffer.from(text, 'utf8');
  const head = Buffer.alloc(4);
  head.writeUInt32LE(data.length);
  let rest = Buffer.concat([head, data]);
  while (rest.length) rest = rest.subarray(fs.writeSync(4, rest));
}

function readExactly(size) {
  const buffer = Buffer.alloc(size);
  let have = 0;
  while (have < size) {
    const count = fs.readSync(3, buffer, have, size - have, null);
    if (count === 0) return null;
    have += count;
  }
  return buffer;
}

function receive(limit) {
  const head = readExactly(4);
  if (head === null) return null;
  const size = head.readUInt32LE(0);
  if (size > limit) throw new Error(`a message of ${size} bytes, the limit is ${limit}`);
  const data = readExactly(size);
  return data === null ? null : data.toString('utf8');
}

module.exports = { encode, decode, send, receive, makeError, NotPlainError };
