"""Where the Triton server's parts lie: an image's, or those of the ``nvidia-pytriton`` wheel in its own environment.

The wheel wants numpy 1, so it stands beside the environment of the rooms, with what the Python backend of a runtime
loads: one of `ENVIRONMENTS` for each (components/serve/triton, components/serve/vllm). Owns no process.
"""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import util
from pathlib import Path
from typing import Literal

from daybreak_contracts.errors import UserError

Kind = Literal["TritonPython", "TritonVLLM"]
ENVIRONMENTS: Mapping[Kind, str] = {"TritonPython": ".venv-triton", "TritonVLLM": ".venv-triton-vllm"}
"""Beside the environment that runs this."""
REMEDIES: Mapping[Kind, str] = {"TritonPython": "make setup", "TritonVLLM": "make setup-vllm"}
WHEEL_LIBRARIES = "nvidia_pytriton.libs"
PACKAGES = ("daybreak_contracts", "daybreak_model", "daybreak_serve")
"""What the backend imports of ours; the server's environment holds what they import of others."""
IMAGE = Path("/opt/tritonserver")
"""Where NVIDIA's images have their server."""


@dataclass(frozen=True)
class TritonInstallation:
    """Where the server's parts lie, and Python's library."""

    tritonserver: Path
    """Folder with ``bin`` and ``backends``."""
    scripts: Path
    """The folder of the backend's ``python``: Triton's stub finds its packages by the first on PATH."""
    libraries: tuple[Path, ...] = ()
    """What the wheel needs beside what the system has; empty in an image."""
    sees_gpus: bool = False
    """Our own engine runs on the CPU: no memory of a GPU for nothing."""

    @property
    def is_wheel(self) -> bool:
        """Tell whether the backends must be assembled, as the wheel has them in pieces."""
        return bool(self.libraries)


def find_installation(kind: Kind) -> TritonInstallation:
    """Return the installed server: the image's, else the wheel's. What is missing is a UserError with the remedy."""
    found = image_server(IMAGE, shutil.which("tritonserver"))
    if found is not None:
        scripts = Path(sysconfig.get_path("scripts"))
        return TritonInstallation(tritonserver=found, scripts=scripts, sees_gpus=kind == "TritonVLLM")
    return wheel_installation(Path(sys.prefix).parent, kind)


def wheel_installation(folder: Path, kind: Kind) -> TritonInstallation:
    """Return the server of the wheel in a runtime's environment, whose Python need not be the one that runs this."""
    environment = folder / ENVIRONMENTS[kind]
    found = sorted(environment.glob("lib/python3.*/site-packages/pytriton/tritonserver"))
    if not found:
        raise UserError(
            f"the environment {environment} of {kind} is not there or not complete: run `{REMEDIES[kind]}`"
        )
    packages = found[0].parent.parent
    libraries = (
        find_libpython(packages.parent.name, library_folders(environment)),
        packages / WHEEL_LIBRARIES,
    )
    return TritonInstallation(found[0], environment / "bin", libraries, sees_gpus=kind == "TritonVLLM")


def image_server(image: Path, on_path: str | None) -> Path | None:
    """Return the folder of an image's server: the usual one, or that of the binary on PATH; None where is none."""
    if (image / "bin/tritonserver").is_file():
        return image
    return Path(on_path).resolve().parent.parent if on_path else None


def library_folders(environment: Path) -> list[Path]:
    """Return where the shared library of an environment's Python may lie: beside the binary, Debian's subfolder."""
    settings = (line.partition("=") for line in (environment / "pyvenv.cfg").read_text().splitlines())
    home = next(
        (Path(value.strip()) for name, _, value in settings if name.strip() == "home"), Path(sys.base_prefix)
    )
    beside = home.parent / "lib"
    return [beside, beside / str(sysconfig.get_config_var("MULTIARCH"))]


def find_libpython(python: str, folders: Sequence[Path]) -> Path:
    """Return the first folder with the library of ``python3.11``; none is a UserError that tells how to get it."""
    for folder in folders:
        if (folder / f"lib{python}.so.1.0").exists():
            return folder
    raise UserError(
        f"lib{python}.so.1.0: not found in {', '.join(map(str, folders))}; Triton's Python backend needs it: "
        f"`apt install lib{python}` for Debian's Python, or a Python that was built with --enable-shared"
    )


def assemble_backends(installation: TritonInstallation, folder: Path) -> Path:
    """Lay links to the Python backend and its stub into one folder, as the server wants them; return it.

    Our packages lie beside them: the stub looks for modules there, and does not heed PYTHONPATH. An image has such
    a folder already.
    """
    if not installation.is_wheel:
        return installation.tritonserver / "backends"
    python = folder / "python"
    python.mkdir(parents=True, exist_ok=True)
    files = (path for path in (installation.tritonserver / "backends/python").iterdir() if path.is_file())
    specs = (util.find_spec(name) for name in PACKAGES)
    packages = (Path(spec.origin).parent for spec in specs if spec is not None and spec.origin)
    for source in [*files, stub(installation), *packages]:
        link = python / source.name
        if link.is_symlink() and link.resolve() == source.resolve():
            continue
        temporary = link.with_name(f".{link.name}.{os.getpid()}")
        temporary.symlink_to(source)
        temporary.replace(link)
    return folder


def stub(installation: TritonInstallation) -> Path:
    """Return the program that runs the backend; the wheel has one for every Python from 3.8 to 3.13."""
    version = installation.tritonserver.parents[2].name.removeprefix("python")
    return installation.tritonserver / "python_backend_stubs" / version / "triton_python_backend_stub"


def server_environment(installation: TritonInstallation, base: Mapping[str, str]) -> dict[str, str]:
    """Return the server's environment: both library folders, the backend's Python first."""
    libraries = [*map(str, installation.libraries), *filter(None, [base.get("LD_LIBRARY_PATH")])]
    return {
        **base,
        **({"LD_LIBRARY_PATH": ":".join(libraries)} if libraries else {}),
        "PATH": f"{installation.scripts}:{base.get('PATH', '')}",
        "PYTHONUNBUFFERED": "1",
        "TOKENIZERS_PARALLELISM": "false",
        **({} if installation.sees_gpus else {"CUDA_VISIBLE_DEVICES": ""}),
    }
