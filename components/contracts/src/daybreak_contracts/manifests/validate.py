"""Manifests from files: every mistake at once, each with its place, its field path and a remedy.

The checks are the models' own; this module finds them all (also the rules beside a field that is wrong itself),
words them and guesses what was meant. Reads files, asks nothing else of the world.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from daybreak_contracts import names
from daybreak_contracts.errors import EXIT_OK, EXIT_USER, UserError
from daybreak_contracts.manifests import pod_template, wording
from daybreak_contracts.manifests.manifest_text import MAX_BYTES, YamlDocument, read_documents
from daybreak_contracts.manifests.model_tree import broken_rules_below, without_absent
from daybreak_contracts.manifests.problems import Location, Problem, path_text, render, value_text
from daybreak_contracts.planning.plan import cannot_work
from daybreak_contracts.resources import ModelDeployment, TrainingRun
from daybreak_contracts.resources.fields import RULE_ERROR, Resource
from daybreak_contracts.resources.near_names import did_you_mean

KINDS: dict[str, type[Resource]] = {"TrainingRun": TrainingRun, "ModelDeployment": ModelDeployment}
SUFFIXES = (".yaml", ".yml", ".json")
OURS = "daybreak"
"""How our API group begins: with another ending it is mistyped, not another API's."""
POD_TEMPLATES: dict[str, tuple[Location, ...]] = {
    "TrainingRun": (("spec", "training", "podTemplate"),),
    "ModelDeployment": (("spec", "podTemplate"), ("spec", "gateway", "podTemplate")),
}
METADATA_FIELDS = (
    "annotations", "creationTimestamp", "deletionGracePeriodSeconds", "deletionTimestamp", "finalizers",
    "generateName", "generation", "labels", "managedFields", "name", "namespace", "ownerReferences",
    "resourceVersion", "selfLink", "uid",
)  # fmt: skip

K = TypeVar("K", bound=Resource)


@dataclass(frozen=True)
class Checked:
    """What a text holds: our objects in which nothing is wrong, what is, and objects that are not ours."""

    objects: list[Resource]
    problems: list[Problem]
    others: list[str]
    """Kind and name of each, as other tools keep them beside ours: not checked."""

    def problems_alone(self, file: str) -> list[Problem]:
        """Return the problems of a text that is looked at alone: it must hold something of ours."""
        if self.problems or self.objects or not self.others:
            return self.problems
        return [
            Problem(
                file,
                0,
                0,
                "kind",
                f"must be one of {', '.join(KINDS)}",
                ", ".join(map(value_text, self.others)),
            )
        ]


def validate_file(path: Path) -> list[Problem]:
    """Return everything that is wrong with the manifests of a YAML file, in the order of the text."""
    return _checked_file(path).problems_alone(str(path))


def validate_text(data: bytes, file: str) -> list[Problem]:
    """Return everything that is wrong with a YAML text; ``file`` is its name in the problems."""
    return _checked_text(data, file).problems_alone(file)


def files_of(paths: Sequence[Path]) -> list[Path]:
    """Return files, and for a folder the manifests directly in it, as ``kubectl apply -f FOLDER`` takes them."""
    files: list[Path] = []
    for path in paths:
        found = sorted(one for one in path.iterdir() if one.suffix in SUFFIXES) if path.is_dir() else [path]
        if not found:
            raise UserError(f"{path}: no manifest in this folder ({', '.join(SUFFIXES)})")
        files += found
    return files


def load_run(path: Path) -> TrainingRun:
    """Return the one TrainingRun of a file. Anything wrong with it is one UserError that lists everything."""
    return _load(path, TrainingRun)


def load_deployment(path: Path) -> ModelDeployment:
    """Return the one ModelDeployment of a file. Anything wrong is one UserError that lists everything."""
    return _load(path, ModelDeployment)


def report(paths: Sequence[Path]) -> tuple[str, int]:
    """Return what ``daybreak validate FILE...`` prints, and its exit code: 0 all are valid, 2 something is wrong."""
    lines, num_problems, num_ours = [], 0, 0
    for path in paths:
        checked = _checked_file(path)
        num_problems += len(checked.problems)
        num_ours += len(checked.objects)
        lines += [render(checked.problems)] if checked.problems else []
        lines += [f"{path}: {_title(item)} is valid" for item in checked.objects if not checked.problems]
        lines += [f"{path}: {other} is not ours, not checked" for other in checked.others]
    if num_problems:
        lines.append(f"{num_problems} problem{'s' if num_problems > 1 else ''}")
    elif not num_ours:
        lines.append(f"no {' or '.join(KINDS)} here, begin one with apiVersion: {names.API_VERSION}")
    return "\n".join(lines), EXIT_USER if num_problems or not num_ours else EXIT_OK


def runs_of(path: Path) -> list[TrainingRun]:
    """Return the TrainingRuns of a file; none when something is wrong with it."""
    checked = _checked_file(path)
    return [] if checked.problems else [item for item in checked.objects if isinstance(item, TrainingRun)]


def _title(item: Any) -> str:
    makes = (
        " (data alone: it names no model)"
        if isinstance(item, TrainingRun) and item.spec.model is None
        else ""
    )
    return f"{item.kind} {item.metadata.name}{makes}"


def _load(path: Path, kind: type[K]) -> K:
    checked = _checked_file(path)
    if checked.problems:
        raise UserError(render(checked.problems))
    wanted = [item for item in checked.objects if isinstance(item, kind)]
    if len(wanted) != 1:
        found = ", ".join([*map(_title, checked.objects), *checked.others])
        raise UserError(f"{path}: must hold one {kind.__name__}, found {found or 'nothing'}")
    return wanted[0]


def _checked_file(path: Path) -> Checked:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        return Checked([], [Problem(str(path), 0, 0, "", f"cannot be read: {reason}")], [])
    return _checked_text(data, str(path))


def _checked_text(data: bytes, file: str) -> Checked:
    documents, problems = read_documents(data, file)
    if not documents and not problems:
        problems = [
            Problem(file, 0, 0, "", "holds no object", remedy=f"begin with apiVersion: {names.API_VERSION}")
        ]
    objects, others = [], []
    for document in chain.from_iterable(map(_items, documents)):
        if _is_foreign(document.value):
            others.append(_name_of(document.value))
            continue
        checker = _Checker(document, file)
        checked = checker.check()
        problems += checker.problems
        if checked is not None:
            objects.append(checked)
    return Checked(objects, sorted(set(problems)), others)


def _items(document: YamlDocument) -> Iterator[YamlDocument]:
    """Yield the objects of a list, as ``kubectl get --output yaml`` prints them; anything else as it is."""
    value = document.value
    items = value.get("items") if isinstance(value, dict) else None
    if not isinstance(items, list) or not str(value.get("kind")).endswith("List"):
        yield document
        return
    for at, item in enumerate(items):
        places = {
            place[2:]: position for place, position in document.places.items() if place[:2] == ("items", at)
        }
        yield YamlDocument(item, places)


def _is_foreign(value: Any) -> bool:
    """Tell whether an object is another API's: kept beside ours in one file, it is none of our mistakes."""
    version, kind = (value.get("apiVersion"), value.get("kind")) if isinstance(value, dict) else (None, None)
    if not isinstance(version, str) or not isinstance(kind, str) or kind in KINDS:
        return False
    return version == "v1" or ("/" in version and not version.startswith(OURS))


def _name_of(value: dict[str, Any]) -> str:
    metadata = value.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    return f"{value['kind']} {name}" if isinstance(name, str) else str(value["kind"])


class _Checker:
    """Checks one document."""

    def __init__(self, document: YamlDocument, file: str) -> None:
        self._document = document
        self._file = file
        self.problems: list[Problem] = []

    def check(self) -> Resource | None:
        """Return the object when nothing is wrong with it."""
        value = self._document.value
        if not isinstance(value, dict):
            self._add((), "must be a mapping with apiVersion, kind, metadata and spec", value_text(value))
            return None
        kind = self._kind(value)
        if kind is None:
            return None
        self._metadata(value.get("metadata"))
        value = {**without_absent(kind, value), "apiVersion": names.API_VERSION}
        checked, wrong = self._fields(kind, value)
        for location, sentence in broken_rules_below(kind, value):
            if location not in wrong:  # a rule about a value of the wrong type says nothing
                self._add(location, sentence, remedy=self._empty_field_hint(location))
        self._pod_templates(kind, value)
        if not self.problems:
            self._whole(checked)
        return None if self.problems else checked

    def _kind(self, value: dict[str, Any]) -> type[Resource] | None:
        version, kind = value.get("apiVersion"), value.get("kind")
        if version is None:
            self._add(("apiVersion",), "is required", remedy=f"add apiVersion: {names.API_VERSION}")
        elif version != names.API_VERSION:
            self._add(("apiVersion",), f"must be {names.API_VERSION}", value_text(version))
        if kind not in KINDS:
            found = "" if kind is None else value_text(kind)
            guess = did_you_mean(str(kind), list(KINDS))
            self._add(("kind",), f"must be one of {', '.join(KINDS)}", found, guess)
            return None
        return KINDS[str(kind)]

    def _metadata(self, metadata: Any) -> None:
        for name in metadata if isinstance(metadata, dict) else ():
            if name not in METADATA_FIELDS:
                guess = did_you_mean(name, METADATA_FIELDS)
                self._add(("metadata", name), "unknown field", remedy=guess)

    def _fields(self, kind: type[Resource], value: dict[str, Any]) -> tuple[Resource | None, set[Location]]:
        """Return the object, if it is one, and which fields are wrong themselves or hold an item that is."""
        wrong: set[Location] = set()
        try:
            return kind.model_validate(value, by_alias=True, by_name=False), wrong
        except ValidationError as error:
            for detail in _real_errors(error):
                location = tuple(part for part in detail["loc"])
                said = wording.sentence(kind, location, detail)
                self._add(location, said.message, said.got, said.remedy)
                wrong |= {location, location[:-1] if isinstance(location[-1], int) else location}
            return None, wrong

    def _pod_templates(self, kind: type[Resource], value: dict[str, Any]) -> None:
        for location in POD_TEMPLATES[kind.__name__]:
            part: Any = value
            for step in location:
                part = part.get(step) if isinstance(part, dict) else None
            for found in pod_template.mistakes(part):
                self._add((*location, *found.location), found.message, found.got, found.remedy)

    def _whole(self, checked: Resource | None) -> None:
        """Say what is wrong with an object whose fields and rules all hold."""
        if isinstance(checked, TrainingRun):
            why = cannot_work(checked.spec)
            if why is not None:
                self._add(("spec", "training"), why)
        if isinstance(checked, ModelDeployment) and checked.spec.runtime.kind not in names.RUNTIMES:
            self._add(("spec", "runtime", "kind"), wording.not_served(checked.spec.runtime.kind))

    def _empty_field_hint(self, location: Location) -> str:
        """An empty field (``nextToken:``) is an absent one: say how to mean it."""
        part: Any = self._document.value
        for step in location:
            inside = isinstance(part, dict) and step in part
            part = part[step] if inside or (isinstance(part, list) and isinstance(step, int)) else None
        empty = [name for name, item in part.items() if item is None] if isinstance(part, dict) else []
        return f"an empty field counts as absent, write {empty[0]}: {{}}" if empty else ""

    def _add(self, location: Location, message: str, got: str = "", remedy: str = "") -> None:
        place = self._document.place(location)
        self.problems.append(
            Problem(self._file, place.line, place.column, path_text(location), message, got, remedy)
        )


def _real_errors(error: ValidationError) -> Iterator[Any]:
    """Leave out the rules (found apart, all of them) and lists called short because an item is wrong."""
    for detail in error.errors(include_url=False):
        if detail["type"] == RULE_ERROR:
            continue
        if detail["type"] == "too_short" and len(detail["input"]) >= detail["ctx"]["min_length"]:
            continue
        yield detail
