"""Where the server's parts are found, what is told when one is missing, and what the server's process gets of them."""

from __future__ import annotations

import shutil
import sys
import sysconfig
from dataclasses import replace
from pathlib import Path

import pytest

from daybreak_contracts import names
from daybreak_contracts.errors import UserError
from daybreak_serve.engine import installation as server
from daybreak_serve.engine.repository import BACKENDS


def test_the_installation_has_what_the_server_needs() -> None:
    found = server.find_installation("TritonPython")
    assert (found.tritonserver / "bin/tritonserver").is_file()
    assert server.stub(found).is_file()
    python, wheel = found.libraries
    assert list(python.glob("libpython3.*.so.1.0"))
    assert wheel.is_dir()


def test_the_server_stands_in_an_environment_of_its_own() -> None:
    found = server.find_installation("TritonPython")
    assert found.scripts == Path(sys.prefix).parent / ".venv-triton" / "bin"
    assert (found.scripts / "python").exists()


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        pytest.param(
            "TritonPython", r"\.venv-triton of TritonPython is not there .*: run `make setup`", id="own"
        ),
        pytest.param(
            "TritonVLLM",
            r"\.venv-triton-vllm of TritonVLLM is not there .*: run `make setup-vllm`",
            id="vllm",
        ),
    ],
)
def test_no_environment_for_triton_is_told_with_the_remedy(
    tmp_path: Path, kind: server.Kind, told: str
) -> None:
    with pytest.raises(UserError, match=told):
        server.wheel_installation(tmp_path, kind)


def test_every_runtime_has_an_environment_and_a_remedy() -> None:
    assert set(server.ENVIRONMENTS) == set(server.REMEDIES) == set(names.RUNTIMES) == set(BACKENDS)


def test_only_vllm_sees_gpus(tmp_path: Path) -> None:
    own = server.TritonInstallation(tmp_path, tmp_path)
    base = {"CUDA_VISIBLE_DEVICES": "1", "PATH": "/bin"}
    assert server.server_environment(own, base)["CUDA_VISIBLE_DEVICES"] == ""
    vllm = replace(own, sees_gpus=True)
    assert server.server_environment(vllm, base)["CUDA_VISIBLE_DEVICES"] == "1"
    assert "CUDA_VISIBLE_DEVICES" not in server.server_environment(vllm, {})


def test_a_python_without_a_shared_library_is_told_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"apt install libpython3\.11"):
        server.find_libpython("python3.11", [tmp_path])
    (tmp_path / "libpython3.11.so.1.0").touch()
    assert server.find_libpython("python3.11", [tmp_path / "none", tmp_path]) == tmp_path


def test_the_library_is_looked_for_beside_the_python_of_that_environment(tmp_path: Path) -> None:
    environment, multiarch = tmp_path / ".venv-triton", str(sysconfig.get_config_var("MULTIARCH"))
    (environment / "lib/python3.12/site-packages/pytriton/tritonserver").mkdir(parents=True)
    (environment / "pyvenv.cfg").write_text(f"home = {tmp_path}/usr/bin\nversion_info = 3.12.3\n")
    (tmp_path / "usr/lib" / multiarch).mkdir(parents=True)
    (tmp_path / "usr/lib" / multiarch / "libpython3.12.so.1.0").touch()
    found = server.wheel_installation(tmp_path, "TritonPython")
    assert found.libraries[0] == tmp_path / "usr/lib" / multiarch
    assert server.stub(found).parent.name == "3.12"


def test_the_environment_puts_ours_first_and_keeps_the_rest() -> None:
    found = server.find_installation("TritonPython")
    base = {"PATH": "/bin", "LD_LIBRARY_PATH": "/opt/x", "HOME": "/h"}
    environment = server.server_environment(found, base)
    assert environment["PATH"] == f"{found.scripts}:/bin"
    assert environment["LD_LIBRARY_PATH"].split(":") == [*map(str, found.libraries), "/opt/x"]
    assert environment["HOME"] == "/h"
    assert server.server_environment(found, {})["LD_LIBRARY_PATH"].count(":") == 1


def test_an_image_keeps_its_own_environment(tmp_path: Path) -> None:
    image = server.TritonInstallation(tmp_path, tmp_path / "bin")
    environment = server.server_environment(image, {"PATH": "/bin"})
    assert "LD_LIBRARY_PATH" not in environment
    assert server.assemble_backends(image, tmp_path / "links") == tmp_path / "backends"


def test_backends_are_assembled_twice_as_once(tmp_path: Path) -> None:
    found = server.find_installation("TritonPython")
    packages = tmp_path / "server/python3.11/site-packages"
    shutil.copytree(found.tritonserver / "backends", packages / "pytriton/tritonserver/backends")
    (packages / "pytriton/tritonserver/backends/python/__pycache__").mkdir(
        exist_ok=True
    )  # as installers leave them
    installation = replace(found, tritonserver=packages / "pytriton/tritonserver")
    server.stub(installation).parent.mkdir(parents=True)
    shutil.copy(server.stub(found), server.stub(installation))
    for _ in range(2):
        server.assemble_backends(installation, tmp_path)
    names = {path.name for path in (tmp_path / "python").iterdir() if path.is_file()}
    assert names == {"libtriton_python.so", "triton_python_backend_utils.py", "triton_python_backend_stub"}
    ours = {path.name for path in (tmp_path / "python").iterdir() if path.is_dir()}
    assert {"daybreak_contracts", "daybreak_serve"} <= ours <= set(server.PACKAGES)
    assert all((tmp_path / "python" / name / "__init__.py").is_file() for name in ours)
