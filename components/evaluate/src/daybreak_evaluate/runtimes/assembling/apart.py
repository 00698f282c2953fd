"""C++, Rust and Go in two processes, where a test asks one function for plain data (decision 0142).

Owns reading that function's signature and both sides' texts. The test's side is the test as it is put together with an
answer, with a stand-in for the answer: no text of the answer's is compiled into it. What cannot be read here, and a
stand-in that does not compile, is left to the language's own assembling.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from daybreak_evaluate.runtimes.assembling import cpp, go, rust
from daybreak_evaluate.runtimes.assembling.sources import Sources, driver, opened_function, without_end
from daybreak_evaluate.task import Task


@dataclass(frozen=True)
class Apart:
    """Texts of two programs."""

    test: Sources
    answer: Sources


@dataclass(frozen=True)
class OpenedFunction:
    """The function whose body a prompt begins."""

    name: str
    parameters: tuple[tuple[str, str], ...]
    """Name and type."""
    result: str


def apart(task: Task, completion: str, token: str) -> Apart | None:
    """Return both sides; None where the test has to live with its answer."""
    found = _LANGUAGES.get(task.language)
    if found is None or task.around is not None or task.suffix or found.together.search(task.test):
        return None
    signature = found.read(task)
    if signature is None:
        return None
    end, rest = without_end(task.test)
    return found.assemble(replace(task, test=rest), signature, (completion + end, token))


def parts(text: str) -> list[str]:
    """Part a list at its outermost commas."""
    found, depth = [""], 0
    for each in text.replace("->", "\0"):
        depth += (each in "([{<") - (each in ")]}>")
        if each == "," and not depth:
            found.append("")
        else:
            found[-1] += each
    return [each.replace("\0", "->").strip() for each in found if each.strip()]


def _code_of(task: Task) -> str:
    """Return what stands before the answer, without comments."""
    return re.sub(r"/\*.*?\*/|//[^\n]*", " ", task.preamble + task.prompt, flags=re.DOTALL)


# C++

_CPP_PARAMETER = re.compile(r"(.*[\s&>])(\w+)\Z", re.DOTALL)


def _read_cpp(task: Task) -> OpenedFunction | None:
    head = _code_of(task)
    opened = opened_function(head, task.entry_point)
    if opened is None:
        return None
    listed = re.search(rf"\b{opened[1]}\s*\(((?:[^()]|\([^()]*\))*)\)\s*\{{[^{{}}]*\Z", head)
    found = [
        _CPP_PARAMETER.match(each.partition("=")[0].strip()) for each in parts(listed[1] if listed else "")
    ]
    if listed is None or not all(found):
        return None
    parameters = tuple((each[2], each[1].strip()) for each in found if each)
    return OpenedFunction(opened[1], parameters, opened[0])


def _cpp(task: Task, signature: OpenedFunction, given: tuple[str, str]) -> Apart:
    completion, token = given
    names = ", ".join(name for name, _ in signature.parameters)
    typed = ", ".join(f"{kind} {name}" for name, kind in signature.parameters)
    types = ", ".join([signature.result, *(kind for _, kind in signature.parameters)])
    asked = f"{signature.result} daybreak_asked({typed})"
    plain = driver("cpp", "plain.h")
    stand_in = (
        f"    {asked};\n    return daybreak_asked({names});\n}}\n{plain}"
        f"{asked} {{ return daybreak_plain::ask<{types}>({names}); }}\n"
    )
    call = f"[](auto &...given) -> {signature.result} {{ return {signature.name}(given...); }}"
    program = (
        f"{cpp.renamed_main(task.program(completion))}\n/**/\n{cpp.undoing(completion)}{plain}"
        f"int main() {{ return daybreak_plain::serve<{types}>({call}); }}\n"
    )
    return Apart(cpp.assemble(task, stand_in, token), Sources((), stdin=program, whole=True))


# Rust

_RUST_HEAD = re.compile(
    r"^(?:pub\s+)?fn\s+(\w+)\s*\(([^()]*(?:\([^()]*\)[^()]*)*)\)\s*(?:->\s*([^{}]+?)\s*)?\{\s*\Z",
    re.MULTILINE,
)
_RUST_BORROWED = re.compile(r"&\s*(mut\s+)?(.*)\Z", re.DOTALL)
_RUST_STRANGE = re.compile(r"&|\'|\b(?:impl|dyn|fn)\b")


def _read_rust(task: Task) -> OpenedFunction | None:
    found = _RUST_HEAD.search(_code_of(task))
    if found is None or _RUST_STRANGE.search(found[3] or ""):
        return None
    parameters = []
    for each in parts(found[2]):
        name, colon, kind = each.partition(":")
        if not colon or _RUST_STRANGE.search(_rust_owned(kind.strip())[0]):
            return None
        parameters.append((name.strip().removeprefix("mut ").strip(), kind.strip()))
    return OpenedFunction(found[1], tuple(parameters), found[3] or "()")


def _rust_owned(kind: str) -> tuple[str, str]:
    """Return what holds a parameter's value, and what stands before it in a call."""
    borrowed = _RUST_BORROWED.match(kind)
    if borrowed is None:
        return kind, ""
    inner = borrowed[2].strip()
    if inner == "str":
        inner = "::std::string::String"
    elif inner.startswith("[") and ";" not in inner:
        inner = f"::std::vec::Vec<{inner[1:-1]}>"
    return inner, "&mut " if borrowed[1] else "&"


def _rust(task: Task, signature: OpenedFunction, given: tuple[str, str]) -> Apart:
    completion, token = given
    plain = driver("rust", "plain.rs")
    program = (
        f"{rust.without_main(task.program(completion), 'apart')}\n/**/\n{plain}{_rust_serving(signature)}"
    )
    test = rust.assemble(task, f"{_rust_asking(signature)}{plain}", token)
    return Apart(test, Sources((), stdin=program, whole=True))


_RUST_TAKEN = "<{} as daybreak_plain::Take>::take(from)?"
_RUST_SOME = "::std::option::Option::Some"


def _rust_asking(signature: OpenedFunction) -> str:
    """Return the stand-in's body: what is asked, what is found, and what was changed in place."""
    saying = "".join(
        f"    daybreak_plain::Put::put(&{name}, &mut daybreak_said);\n" for name, _ in signature.parameters
    )
    renewing = "".join(
        f"        daybreak_plain::renew({name}, {_RUST_TAKEN.format(owned)})?;\n"
        for name, kind in signature.parameters
        for owned, before in [_rust_owned(kind)]
        if before == "&mut "
    )
    return (
        f"    let mut daybreak_said = ::std::vec::Vec::new();\n{saying}"
        "    daybreak_plain::ask(&daybreak_said, |from| {\n"
        f"        let found = {_RUST_TAKEN.format(signature.result)};\n"
        f"{renewing}        {_RUST_SOME}(found)\n    }})\n}}\n"
    )


def _rust_serving(signature: OpenedFunction) -> str:
    """Return the answer's main, which calls the function for what is asked."""
    owned = [_rust_owned(kind) for _, kind in signature.parameters]
    taking = "".join(
        f"        let mut daybreak_{index} = {_RUST_TAKEN.format(kind)};\n"
        for index, (kind, _) in enumerate(owned)
    )
    values = ", ".join(f"{before}daybreak_{index}" for index, (_, before) in enumerate(owned))
    after = "".join(
        f"        daybreak_plain::Put::put(&daybreak_{index}, said);\n"
        for index, (_, before) in enumerate(owned)
        if before == "&mut "
    )
    return (
        f"fn main() {{\n    daybreak_plain::serve(|from, said| {{\n{taking}"
        f"        let found: {signature.result} = {signature.name}({values});\n"
        f"        daybreak_plain::Put::put(&found, said);\n{after}        {_RUST_SOME}(())\n    }})\n}}\n"
    )


# Go

_GO_HEAD = re.compile(
    r"^func\s+(\w+)\s*\(([^(){}]*)\)\s*(?:\(([^(){}]*)\)|([^(){}]*?))\s*\{\s*\Z", re.MULTILINE
)
_GO_BASE = r"bool|byte|rune|string|float(?:32|64)|complex(?:64|128)|u?int(?:8|16|32|64)?"
"""No type that a prompt declares: what is equal of it, and what it holds, is not known here."""
_GO_PLAIN = re.compile(rf"(?:\[\d*\]|map\[(?:{_GO_BASE})\])*(?:{_GO_BASE})\Z")


def _read_go(task: Task) -> OpenedFunction | None:
    found = _GO_HEAD.search(_code_of(task))
    if found is None:
        return None
    parameters = _go_named(found[2])
    results = [kind for _, kind in _go_named(found[3])] if found[3] else [found[4].strip()]
    kinds = [*(kind for _, kind in parameters), *results]
    if not all(_GO_PLAIN.match(kind) for kind in kinds) or not all(name for name, _ in parameters):
        return None
    return OpenedFunction(found[1], tuple(parameters), ", ".join(results))


def _go_named(text: str) -> list[tuple[str, str]]:
    """Return names and types of a list in which the last of several names bears the type, or no names are said."""
    listed = [each.partition(" ") for each in parts(text)]
    if not any(space for _, space, _ in listed):
        return [("", name) for name, _, _ in listed]
    found: list[tuple[str, str]] = []
    kind = ""
    for name, space, said in reversed(listed):
        kind = said.strip() if space else kind
        found.append((name, kind))
    return found[::-1]


def _go(task: Task, signature: OpenedFunction, given: tuple[str, str]) -> Apart:
    completion, token = given
    results = [(f"daybreakFound{index}", kind) for index, kind in enumerate(parts(signature.result))]
    declared = "".join(f"    var {name} {kind}\n" for name, kind in results)
    arguments = ", ".join(f"&{name}" for name, _ in signature.parameters)
    found = ", ".join(f"&{name}" for name, _ in results)
    stand_in = (
        f"{declared}    daybreakPlain.Ask([]interface{{}}{{{arguments}}}, []interface{{}}{{{found}}})\n"
        f'    return {", ".join(name for name, _ in results)}\n}}\nimport daybreakPlain "_daybreak/plain"\n'
    )
    test = go.assemble(task, stand_in, token)
    answer = dict(go.assemble(replace(task, test=""), completion, token).answer)
    answer["guard.go"] = f"package answer\n\nvar DaybreakFunction = {signature.name}\n"
    answer["main.go"] = driver("go", "serve.go.template")
    return Apart(test, Sources(tuple(answer.items())))


@dataclass(frozen=True)
class _Parting:
    read: Callable[[Task], OpenedFunction | None]
    assemble: Callable[[Task, OpenedFunction, tuple[str, str]], Apart]
    together: re.Pattern[str]
    """What a test says that wants an error of the answer's own, which does not cross."""


_LANGUAGES: Mapping[str, _Parting] = {
    "cpp": _Parting(_read_cpp, _cpp, re.compile(r"\bcatch\b")),
    "go": _Parting(_read_go, _go, re.compile(r"\brecover\b|Panics")),
    "rust": _Parting(_read_rust, _rust, re.compile(r"should_panic|catch_unwind|\bunsafe\b")),
}
