"""The compiled pipelines as the operator submits them: with an installation's images and what a run's pods shall get.

Owns no call to Kubeflow. The packages are data of ``daybreak_pipelines``, which is never imported, or a folder.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import yaml

from daybreak_contracts.errors import UserError
from daybreak_operator.core.plan import PipelinePods
from daybreak_operator.settings import Images

HOLDER = "daybreak_pipelines"
PREFIX = "daybreak/"
EXECUTOR = "exec-"
"""Before a step's name, in the name that the compiler gives its executor."""


def read(name: str, folder: Path | None) -> dict[str, Any]:
    """Return a compiled pipeline as the API wants it: the pipeline, beside what it asks of Kubernetes if anything.

    One that is not there is a UserError: the operator's image lacks it.
    """
    try:
        place: Traversable = folder if folder is not None else resources.files(HOLDER).joinpath("compiled")
        text = place.joinpath(f"{name}.yaml").read_text()
    except (OSError, ModuleNotFoundError) as error:
        where = str(folder) if folder is not None else f"the package {HOLDER}"
        raise UserError(
            f"pipeline {name} is not in {where}: install daybreak-pipelines beside the operator"
        ) from error
    pipeline, *platforms = yaml.safe_load_all(text)
    if not platforms:
        return dict(pipeline)
    return {"pipeline_spec": pipeline, "platform_spec": platforms[0]}


def with_images(package: Mapping[str, Any], images: Images) -> dict[str, Any]:
    """Return the package with each component's image (``daybreak/<component>:<tag>``) as the installation has it."""
    changed = copy.deepcopy(dict(package))
    known = images.model_dump()
    for executor in _executors(changed).values():
        container = executor["container"]
        component = container["image"].partition(":")[0].removeprefix(PREFIX)
        container["image"] = known.get(component, container["image"])
    return changed


def with_pods(package: Mapping[str, Any], pods: Iterable[PipelinePods]) -> dict[str, Any]:
    """Return the package with what a run's pods get, added to its tasks: lists grow, mappings are merged."""
    if not _executors(package):
        return dict(package)  # the back end says what is wrong with it
    changed = copy.deepcopy(dict(package))
    if "pipeline_spec" not in changed:
        changed = {"pipeline_spec": changed}
    platform = changed.setdefault("platform_spec", {})
    for part in ("platforms", "kubernetes", "deploymentSpec", "executors"):
        platform = platform.setdefault(part, {})
    for more in pods:
        for name, executor in _executors(changed).items():
            if more.steps and name.removeprefix(EXECUTOR) not in more.steps:
                continue
            before = _without_mounts(platform.get(name, {}), more.platform)
            platform[name] = _joined(before, more.platform)
            executor["container"] = _joined(executor["container"], more.container)
    return changed


def _without_mounts(config: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Return a task's configuration without the empty folders at whose place something else is mounted."""
    taken = {
        mount["mountPath"] for field in ("pvcMount", "emptyDirMounts") for mount in more.get(field) or ()
    }
    kept = [mount for mount in config.get("emptyDirMounts") or () if mount["mountPath"] not in taken]
    return {**config, "emptyDirMounts": kept} if "emptyDirMounts" in config else dict(config)


def _executors(package: Mapping[str, Any]) -> dict[str, Any]:
    spec = package.get("pipeline_spec", package)
    found: dict[str, Any] = (spec.get("deploymentSpec") or {}).get("executors") or {}
    return found


def _joined(base: Any, more: Any) -> Any:
    if isinstance(base, Mapping) and isinstance(more, Mapping):
        both = {name: _joined(base[name], more[name]) for name in base if name in more}
        return copy.deepcopy({**base, **more, **both})
    return [*base, *more] if isinstance(base, list) and isinstance(more, list | tuple) else more
