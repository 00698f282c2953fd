"""The command ``daybreak plan``: a manifest's plan, with the hardware and the price that a person has in mind."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from daybreak_contracts.errors import EXIT_OK, EXIT_USER, UserError
from daybreak_contracts.manifests.validate import load_run, runs_of
from daybreak_contracts.planning import gpus
from daybreak_contracts.planning.plan import Hardware, TrainingPlan, asked_hardware, nodes_for, plan_of
from daybreak_contracts.resources import TrainingRun
from daybreak_pipelines import estimate
from daybreak_pipelines.local import record
from daybreak_pipelines.local.run import settings_of
from daybreak_pipelines.training_plan import data_count, words
from daybreak_pipelines.training_plan.measurement import measured

GPUS_PER_NODE = 8
"""Of a node that nobody described."""


@dataclass(frozen=True)
class Question:
    """What is asked besides the manifest."""

    gpu: str | None = None
    gpus: int | None = None
    """In all."""
    price: float | None = None
    """Of a GPU and hour."""
    deadline_s: float | None = None
    tokens: int | None = None
    """Of the data, when it is not there to be counted."""
    measure: bool = False
    """Train some steps on this machine to know its speed and memory."""


def plan_manifest(manifest: Path, question: Question, as_json: bool) -> int:
    """Print the plan of a manifest and return the exit code: 2 when it cannot work."""
    run = load_run(manifest)
    settings = settings_of(run, 0)
    context = run.spec.training.context_length
    asked = None if question.tokens is None else data_count.asked(question.tokens, context)
    data = asked or data_count.amount_of(run, settings)
    hardware = hardware_of(run, question)
    size = data_count.vocabulary_size(run.spec.tokenizer)
    speed = None
    if question.measure:
        speed = measured(run, settings, plan_of(run.spec, hardware, data, vocabulary_size=size))
    plan = plan_of(run.spec, hardware, data, speed, question.price, vocabulary_size=size)
    if question.measure:
        record.keep_plan(settings.work_dir, plan)
    enough, said = None, ""
    if question.deadline_s is not None:
        if (
            hardware.gpu is None
        ):  # this machine, or as many as the manifest says: their speed is known by measuring
            enough = (
                hardware if plan.seconds is not None and plan.seconds.high <= question.deadline_s else None
            )
        else:
            enough = nodes_for(run.spec, hardware, question.deadline_s, data, size)
        said = deadline_in_words(plan, hardware, enough, question.deadline_s)
    if as_json:
        answer = {"name": run.metadata.name, **plan.model_dump(mode="json")}
        if question.deadline_s is not None:
            answer |= {"deadline_seconds": question.deadline_s, "nodes_for_deadline": enough and enough.nodes}
        print(json.dumps(answer, indent=1))
    else:
        print(words.render(run.metadata.name, plan, said))
    return EXIT_USER if plan.errors else EXIT_OK


def data_of_manifests(files: Sequence[Path]) -> str:
    """Return what the data of each valid TrainingRun is worth: tokens, epochs, the size that it carries."""
    lines = []
    for file in files:
        for run in runs_of(file):
            data = data_count.amount_of(run, settings_of(run, 0))
            size = data_count.vocabulary_size(run.spec.tokenizer)
            plan = plan_of(run.spec, asked_hardware(run.spec.training), data, vocabulary_size=size)
            lines.append(f"{file}: TrainingRun {run.metadata.name}: {words.data_in_words(plan)}")
            lines += [f"{file}: warning: {text}" for text in plan.warnings]
    return "\n".join(lines)


def hardware_of(run: TrainingRun, question: Question) -> Hardware:
    """Return the hardware that is asked for, else the manifest's; an unknown GPU is a UserError that names others."""
    asked = asked_hardware(run.spec.training)
    if question.measure and question.gpu is not None:
        raise UserError("--measure tells of this machine: give --measure or --gpu, not both")
    if question.gpu is None:
        if question.gpus is not None:
            raise UserError("--gpus needs --gpu, as --gpu H100")
        return asked
    gpu = gpus.named(question.gpu)
    if gpu is None:
        raise UserError(
            f"--gpu: no data sheet for {question.gpu!r}, take one of {', '.join(sorted(gpus.SHORT_NAMES))} "
            "or the name that torch.cuda.get_device_name gives"
        )
    if question.gpus is None:
        return Hardware(asked.nodes, asked.gpus_per_node or GPUS_PER_NODE, gpu)
    per_node = min(question.gpus, asked.gpus_per_node or GPUS_PER_NODE)
    if question.gpus % per_node:
        raise UserError(f"--gpus: {question.gpus} GPUs do not fill nodes of {per_node}, take a multiple")
    return Hardware(question.gpus // per_node, per_node, gpu)


def deadline_in_words(
    plan: TrainingPlan, hardware: Hardware, enough: Hardware | None, deadline_s: float
) -> str:
    """Return how many nodes end in time nine times in ten."""
    limit = estimate.in_words(deadline_s)
    if plan.seconds is None:
        return f"{limit}: unknown as long as the speed is"
    if hardware.gpu is None:
        fits = "too slow" if enough is None else "enough"
        return f"{limit}: this machine is {fits}"
    if enough is None:
        return f"{limit}: no number of nodes of {hardware.gpus_per_node} GPUs is enough"
    nodes = f"{enough.nodes} node{'s' if enough.nodes > 1 else ''}"
    return f"{limit}: {nodes} of {enough.gpus_per_node} GPUs ({enough.num_gpus} GPUs) end in time nine times in ten"
