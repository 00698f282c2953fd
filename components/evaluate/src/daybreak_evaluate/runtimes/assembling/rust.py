"""Rust: one crate by standard input; assertions by their full path, and a main that was compiled apart."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Collection

from daybreak_evaluate.runtimes.assembling.sources import Sources, without_end
from daybreak_evaluate.task import Task

MACROS = (
    "assert|assert_eq|assert_ne|debug_assert|debug_assert_eq|debug_assert_ne|panic|unreachable|vec|format|matches|"
    "println|print|eprintln|eprint|write|writeln"
)
_MACRO = re.compile(rf"(?<![\w:$])({MACROS})!(?=\s*[(\[{{])")
_MAIN = re.compile(r"^([ \t]*)(?:pub\s+)?fn\s+main\s*\(\s*\)(\s*->\s*[^{]+)?", re.MULTILINE)
_TEST = re.compile(r"#\[test\]\s*(?:(?://[^\n]*|#\[[^\]]*\])\s*)*(?:pub\s+)?fn\s+(\w+)")
_MODULE = re.compile(r"#\[cfg\(test\)\]\s*(?:pub\s+)?mod\s+(\w+)")
# Crates that are no part of the language; an answer that really uses one does not compile.
_CRATES = re.compile(r"^[ \t]*use\s+(rand|regex|md5)\b[^;]*;[ \t]*$", re.MULTILINE)
PRIMITIVES = (
    *("bool", "char", "str", "f32", "f64", "i8", "i16", "i32", "i64", "i128", "isize"),
    *("u8", "u16", "u32", "u64", "u128", "usize"),
)
PRELUDE = {
    "String": "string::String",
    "Vec": "vec::Vec",
    "Option": "option::Option",
    "Some": "option::Option::Some",
    "None": "option::Option::None",
    "Result": "result::Result",
    "Ok": "result::Result::Ok",
    "Err": "result::Result::Err",
    "Box": "boxed::Box",
    **{name: f"primitive::{name}" for name in PRIMITIVES},
}


def assemble(task: Task, completion: str, token: str) -> Sources:
    """Return the text that the compiler reads; no file holds it."""
    head = task.preamble + task.prompt
    end, rest = without_end(task.test)
    program = without_main(task.program(completion) + end, token)
    test = _MACRO.sub(r"::std::\1!", rest)
    test, ending = _with_endings(test, token)
    calls = [f"answer_test_{token}();"] if _MAIN.search(test) else []
    test = _MAIN.sub(rf"\1fn answer_test_{token}()\2", test)
    modules = _MODULE.findall(test)
    where = f"{modules[0]}::" if modules else ""
    calls += [f"{where}{name}();" for name in _TEST.findall(test)]
    test = _TEST.sub(r"pub fn \1", _MODULE.sub(r"mod \1", test))
    body = " ".join(calls) + (" 0" if calls else " 1")
    entry = f'#[no_mangle] pub extern "C" fn daybreak_entry() -> ::std::primitive::i32 {{ {body} }}'
    text = f"#![no_main]\n{program}\n/**/\n{_guard(head, test)}\n{test}\n{entry}\n"
    return Sources(answer=(), stdin=text, ending=ending)


def without_main(program: str, token: str) -> str:
    """Let mains of prompt and answer be functions among others, and leave out crates that are not offered."""
    count = itertools.count()
    return _MAIN.sub(
        lambda found: f"{found[1]}fn answer_main_{token}_{next(count)}(){found[2] or ''}",
        _CRATES.sub("", program),
    )


def _with_endings(test: str, token: str) -> tuple[str, str]:
    """Let each test say its share when it ends without a panic; returns what all shares together are."""
    parts, place, together = [], 0, 0
    functions = sorted([*_MAIN.finditer(test), *_TEST.finditer(test)], key=lambda found: found.start())
    for index, found in enumerate(functions):
        opening = test.find("{", found.end())
        if opening < 0:
            break
        share = hashlib.sha256(f"{token} {index}".encode()).hexdigest()[:16]
        together ^= int(share, 16)
        parts += [test[place : opening + 1], _LAST.replace("SHARE", share)]
        place = opening + 1
    return "".join(parts) + test[place:], f"{together:016x}"


_LAST = (
    " let _daybreak_last = { struct Last; impl ::std::ops::Drop for Last { fn drop(&mut self) {"
    ' if !::std::thread::panicking() { extern "C" { fn daybreak_end(share: ::std::primitive::u64); }'
    " unsafe { daybreak_end(0xSHARE) } } } } Last };"
)


def _guard(head: str, test: str) -> str:
    """Import the names that the test takes from the language, so that an answer that declares one does not compile."""
    own = _imported_or_declared(head)
    used = [name for name in PRELUDE if name not in own and re.search(rf"\b{name}\b", test + head)]
    crate = "" if "std" in own else "extern crate std;\n"  # an answer cannot give that name to another
    return crate + "".join(f"#[allow(unused_imports)] use ::std::{PRELUDE[name]};\n" for name in used)


def _imported_or_declared(head: str) -> Collection[str]:
    uses = re.findall(r"^\s*(?:pub\s+)?use\s+[^;]*;", head, re.MULTILINE)
    declared = re.findall(r"^\s*(?:pub\s+)?(?:struct|enum|type|trait|mod)\s+(\w+)", head, re.MULTILINE)
    return {*declared, *(word for use in uses for word in re.findall(r"\w+", use))}
