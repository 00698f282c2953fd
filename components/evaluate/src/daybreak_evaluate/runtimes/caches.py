"""What is made once for a language and then read by every box as /cache: compiled parts of ours and the language's own.

Owns where it lies and when it is made again. Only text of ours is compiled here, outside the boxes.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from daybreak_contracts.errors import UserError
from daybreak_evaluate.runtimes.assembling.sources import driver, driver_files
from daybreak_evaluate.runtimes.definition import LanguageDefinition, Toolchain

CODE_VERSION = 1
FILL_TIMEOUT_S = 600


def cache_folder(definition: LanguageDefinition, tools: Toolchain) -> str | None:
    """Return the folder that boxes see as /cache, made now if it is not there; None where a language needs none."""
    fill = FILLERS.get(definition.language)
    if fill is None:
        return None
    parts = [
        str(CODE_VERSION),
        tools.version,
        *(f"{name}={path}" for name, path in sorted(tools.paths.items())),
    ]
    texts = [text for language in (definition.language, "native") for _, text in driver_files(language)]
    digest = hashlib.sha256("\0".join([*parts, *texts]).encode()).hexdigest()[:16]
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "daybreak" / "runtimes"
    base.mkdir(parents=True, exist_ok=True)
    folder = base / f"{definition.language}-{digest}"
    with (base / f".{definition.language}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            _make(folder, fill, tools)
    return str(folder)


def _make(folder: Path, fill: Callable[[Path, Toolchain], None], tools: Toolchain) -> None:
    staging = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".filling-"))
    try:
        staging.chmod(0o755)
        fill(staging, tools)
        staging.rename(folder)
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", "") or ""
        raise UserError(
            f"{folder.name}: the compiled parts could not be made: {error} {said[:500]}"
        ) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _run(argv: list[str], folder: Path, **environment: str) -> str:
    done = subprocess.run(
        argv,
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
        timeout=FILL_TIMEOUT_S,
        stdin=subprocess.DEVNULL,
        env={**os.environ, **environment},
    )
    return done.stdout


def _fill_go(folder: Path, tools: Toolchain) -> None:
    """Copy the compiled standard library, and testify where the module cache has it; compile the seal."""
    listing = "{{if .Export}}{{.ImportPath}}={{.Export}}{{end}}"
    with tempfile.TemporaryDirectory() as name:
        module = Path(name)
        (module / "go.mod").write_text("module fill\n\ngo 1.21\n")
        packages = ["std"]
        version = _newest_testify(_run([tools.paths["go"], "env", "GOMODCACHE"], module).strip())
        if version:
            (module / "go.mod").write_text(
                f"module fill\n\ngo 1.21\n\nrequire github.com/stretchr/testify {version}\n"
            )
            packages.append("github.com/stretchr/testify/assert")
        offline = {
            "GOPROXY": "off",
            "GOFLAGS": "-mod=mod",
            "GONOSUMDB": "*",
            "GONOSUMCHECK": "1",
            "GOWORK": "off",
        }
        argv = [tools.paths["go"], "list", "-export", "-deps", "-f", listing]
        try:
            found = _run([*argv, *packages], module, **offline)
        except subprocess.CalledProcessError:
            found = _run([*argv, "std"], module, **offline)
    lines = []
    for number, line in enumerate(found.split()):
        package, _, path = line.partition("=")
        shutil.copyfile(path, folder / f"{number}.a")
        lines.append(f"packagefile {package}=/cache/{number}.a\n")
    lines.append("packagefile _daybreak/plain=/cache/plain.a\n")
    (folder / "importcfg").write_text("".join(lines))
    lines += ["packagefile _daybreak/seal=/cache/seal.a\n", "packagefile answer=/build/answer.a\n"]
    (folder / "importcfg.main").write_text("".join(lines))
    here = "".join(lines).replace("/cache/", f"{folder}/")
    (folder / "here").write_text(here)
    compiler = f"{tools.paths['tool']}/compile"
    for name in ("plain", "seal"):
        (folder / f"{name}.go").write_text(driver("go", f"{name}.go"))
        argv = [compiler, "-p", f"_daybreak/{name}", "-complete", "-o", f"{name}.a", "-importcfg", "here"]
        _run([*argv, f"{name}.go"], folder)
    (folder / "here").unlink()


def _newest_testify(modules: str) -> str:
    found = [
        path.name.partition("@")[2] for path in Path(modules, "github.com/stretchr").glob("testify@v1.*")
    ]
    return max(
        found,
        key=lambda version: [int(part) for part in version[1:].split(".") if part.isdigit()],
        default="",
    )


NATIVE_OPTIONS = ("-O1", "-fPIC", "-ffreestanding", "-fno-builtin", "-fno-tree-loop-distribute-patterns")
"""A loop that compares or copies must not become a call of the very function that it is in."""


def _fill_native(folder: Path, tools: Toolchain) -> None:
    (folder / "seal.c").write_text(driver("native", "seal.c"))
    compiler = tools.paths.get("compiler") or tools.paths["linker"]
    _run([compiler, "-x", "c", *NATIVE_OPTIONS, "-c", "-o", "seal.o", "seal.c"], folder)


def _fill_cpp(folder: Path, tools: Toolchain) -> None:
    """Compile the seal, and the header that includes all others."""
    _fill_native(folder, tools)
    (folder / "bits").mkdir()
    header = "#include_next <bits/stdc++.h>\n"
    (folder / "bits" / "stdc++.h").write_text(header)
    argv = [
        tools.paths["compiler"],
        "-std=c++17",
        "-w",
        "-x",
        "c++-header",
        "-o",
        "bits/stdc++.h.gch",
        "bits/stdc++.h",
    ]
    _run([*argv[:3], "-I.", *argv[3:]], folder)


def _fill_java(folder: Path, tools: Toolchain) -> None:
    names = ("Seal.java", "Plain.java")
    for name in names:
        (folder / name).write_text(driver("java", name))
    _run([f"{tools.paths['home']}/bin/javac", "-d", ".", *names], folder)


MAPS = "1000-7ff000000000 r--p 00000000 00:00 0\n7ff000000000-ffffffffffff rw-p 00000000 00:00 0 [stack]\n"


def _fill_csharp(folder: Path, tools: Toolchain) -> None:
    """Compile the starter and what MBXP's tests call; make the one file of /proc that Mono does not start without.

    The C library asks it where the stack of the main thread lies, and believes that it is the part that holds it. A
    real one would show an answer the memory of its own process.
    """
    (folder / "proc" / "self").mkdir(parents=True)
    (folder / "proc" / "self" / "maps").write_text(MAPS)
    compiler = [
        tools.paths["mono"],
        f"{tools.paths['assemblies']}/4.5/mcs.exe",
        "-nologo",
        "-langversion:latest",
    ]
    for name, options in (
        ("CompareNetObjects", ["-target:library"]),
        ("Seal", ["-r:System.Numerics.dll", "-r:CompareNetObjects.dll"]),
    ):
        (folder / f"{name}.cs").write_text(driver("csharp", f"{name}.cs"))
        _run([*compiler, *options, f"{name}.cs"], folder)


FILLERS: Mapping[str, Callable[[Path, Toolchain], None]] = {
    "go": _fill_go,
    "cpp": _fill_cpp,
    "rust": _fill_native,
    "java": _fill_java,
    "csharp": _fill_csharp,
}
