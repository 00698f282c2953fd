"""Which revision of a model is asked for: the same model on another runtime is another one, rolled out as a model is.

Owns when two are the same. A model that stands alone goes by its digest; one that takes the place of itself has a tag.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from daybreak_contracts import names
from daybreak_contracts.resources.deployment import ModelDeploymentSpec
from daybreak_operator.core.deployment.rollout.target import TargetModel
from daybreak_operator.core.deployment.state import CandidateModel, EngineRuntime, RolloutState, StableModel
from daybreak_operator.core.observed.objects import ObservedDeployment
from daybreak_operator.settings import Settings


def runtime_of(spec: ModelDeploymentSpec, settings: Settings) -> EngineRuntime:
    """Return what the spec, or else the installation, serves models by now."""
    runtime, images = spec.runtime, settings.images
    default = images.vllm if runtime.kind == names.RUNTIME_VLLM else images.serve
    return EngineRuntime(runtime.image or default, runtime.max_concurrency, runtime.kind)


def with_runtimes(
    state: RolloutState, deployments: Iterable[ObservedDeployment], wanted: EngineRuntime
) -> RolloutState:
    """Return the state with the runtimes of models that an earlier operator left: the images that their pods have."""
    images = {child.label(names.LABEL_REVISION): child.image for child in deployments if child.image}

    def known(digest: str) -> EngineRuntime:
        return replace(wanted, image=images.get(names.short(digest), wanted.image))

    stable, candidate = state.stable, state.candidate
    if stable is not None and stable.runtime is None:
        stable = replace(stable, runtime=known(stable.digest))
    if candidate is not None and candidate.runtime is None:
        candidate = replace(candidate, runtime=known(candidate.digest))
    return replace(state, stable=stable, candidate=candidate)


def revision_of(state: RolloutState, target: TargetModel) -> TargetModel:
    """Return the model to serve, with the digest of its revision: that of a model that is there, if it is the same."""
    there: list[StableModel | CandidateModel] = [
        one for one in (state.stable, state.candidate) if one is not None and is_model(one, target)
    ]
    for one in there:
        if target.runtime is None or one.runtime in (None, target.runtime):
            return replace(target, digest=one.digest)
    if not there or target.runtime is None:
        return target
    runtime = f"{target.runtime.kind} {target.runtime.image} {target.runtime.slots}"
    return replace(target, digest=names.revision_key(target.digest, runtime))


def is_model(one: StableModel | CandidateModel, target: TargetModel) -> bool:
    """Return whether both are of the same model, whatever serves it."""
    return names.model_of(one.digest) == names.model_of(target.digest)
