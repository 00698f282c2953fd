"""The ``daybreak`` command line: parses, calls one function, turns an error into one line and an exit code.

Nothing heavy is imported before it is needed: ``daybreak --help`` answers at once.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from daybreak_contracts.errors import EXIT_OK, EXIT_USER, DaybreakError, UserError
from daybreak_contracts.names import DATA_PIPELINE, MODEL_PIPELINE, PORT_LOCAL, RUNTIMES
from daybreak_contracts.planning.sizes import SIZES
from daybreak_pipelines import doctor, option_values
from daybreak_pipelines.forget import options as forget_options
from daybreak_pipelines.scores import options as evaluate_options
from daybreak_pipelines.scores import tasks
from daybreak_pipelines.versions import options as diff_options


def parser() -> argparse.ArgumentParser:
    """Return the command line's grammar."""
    top = argparse.ArgumentParser(
        prog="daybreak", description="Raw source code in, your own code-completion model in production."
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    _add_run(commands)
    _add_plan(commands)
    _add_scale(commands)
    diff_options.add(commands)
    forget_options.add(commands)

    validate = commands.add_parser("validate", help="validate manifests and report every error at once")
    validate.add_argument(
        "files", type=Path, nargs="+", metavar="FILE", help="a manifest, or a folder of them"
    )
    validate.add_argument(
        "--data", action="store_true", help="also count the data: tokens, epochs, size it carries"
    )
    validate.set_defaults(call=_validate)

    _add_inspect(commands)

    evaluate_options.add(commands)
    tasks.add(commands)
    doctor.add(commands)

    _add_serve(commands)
    _add_export(commands)
    _add_replay(commands)

    job = commands.add_parser("job", help="run one pipeline in a pod, as the operator's Job does")
    job.add_argument("--pipeline", choices=[DATA_PIPELINE, MODEL_PIPELINE], required=True)
    job.add_argument("--parameters", type=Path, required=True, metavar="FILE.json")
    job.set_defaults(call=_job)

    complete = commands.add_parser("complete", help="request a completion from a served model")
    complete.add_argument("prompt", help="the code before the cursor; - reads it from standard input")
    complete.add_argument("--suffix", help="the code after the cursor")
    complete.add_argument("--max-tokens", type=option_values.positive, default=64)
    complete.add_argument("--url", default=f"http://127.0.0.1:{PORT_LOCAL}")
    complete.set_defaults(call=_complete)
    return top


def _add_run(commands: Any) -> None:
    for name, said, call in (
        ("run", "run a TrainingRun manifest on this machine", _run),
        ("data", "make the data of a manifest alone, on this machine", _data),
    ):
        run = commands.add_parser(name, help=said)
        run.add_argument("manifest", type=Path)
        run.add_argument(
            "--cores", type=option_values.positive, default=0, help="processes to use (default: all)"
        )
        run.set_defaults(call=call)


def _add_serve(commands: Any) -> None:
    serve = commands.add_parser("serve", help="serve a run's model with Triton and the gateway")
    serve.add_argument(
        "run",
        metavar="RUN",
        help="a run's output folder, name or manifest, or a model folder, also a base model's of a hub",
    )
    serve.add_argument(
        "--runtime",
        choices=RUNTIMES,
        default=RUNTIMES[0],
        help="our own engine for processors, or vLLM (make setup-vllm)",
    )
    serve.add_argument("--host", default="127.0.0.1")
    serve.add_argument("--port", type=option_values.port, default=PORT_LOCAL)
    serve.add_argument(
        "--api-keys",
        default="",
        metavar="FILE",
        help="only who has a key of this file may ask; see: daybreak key",
    )
    serve.add_argument(
        "--allow-origin",
        type=option_values.origin,
        action="append",
        default=[],
        metavar="ORIGIN",
        help="a web page that may ask, repeatable",
    )
    serve.add_argument(
        "--tls",
        nargs=2,
        metavar=("CERTIFICATE", "KEY"),
        help="PEM files, read again when they change: the gateway speaks HTTPS",
    )
    serve.add_argument(
        "--deployment",
        type=Path,
        metavar="FILE",
        help="a ModelDeployment whose spec.gateway holds here too: auth.jwt, limits, allowedOrigins, holdMs, "
        "maxNewTokens",
    )
    serve.add_argument(
        "--insecure", action="store_true", help="let other machines ask without a key (with --host)"
    )
    serve.set_defaults(call=_serve)

    key = commands.add_parser("key", help="make an API key: its line for the file on standard output")
    key.add_argument("name", help="the user that the key stands for")
    key.add_argument(
        "--group", dest="groups", action="append", default=[], help="a group of the user, repeatable"
    )
    key.add_argument(
        "--proxy",
        action="store_true",
        help="the key of a proxy that logs people in and names them by headers",
    )
    key.set_defaults(call=_key)


def _add_export(commands: Any) -> None:
    export = commands.add_parser("export", help="write a run's model as one file for llama.cpp")
    export.add_argument(
        "run", metavar="RUN", help="a run's output folder, name or manifest, or a model folder"
    )
    export.add_argument("--gguf", type=Path, required=True, metavar="FILE.gguf", help="the file to write")
    export.set_defaults(call=_export)


def _add_inspect(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    inspect = commands.add_parser("inspect", help="explain what the pipeline does with a file")
    inspect.add_argument(
        "paths", type=Path, nargs="*", metavar="PATH", help="default: the manifest's sources"
    )
    inspect.add_argument(
        "--manifest", type=Path, metavar="FILE", help="answer for this run: its sources, languages, filters"
    )
    inspect.add_argument("--json", action="store_true", help="one JSON object per line")
    inspect.set_defaults(call=_inspect)


def _add_replay(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    replay = commands.add_parser("replay", help="show which samples and documents made a training step")
    replay.add_argument(
        "run", metavar="RUN", help="a run's output folder, name or manifest, or its training's folder"
    )
    replay.add_argument(
        "--step", type=option_values.positive, required=True, metavar="N", help="the step, from 1"
    )
    replay.add_argument(
        "--rank", type=option_values.not_negative, metavar="R", help="only this process's share of the batch"
    )
    replay.add_argument("--json", action="store_true", help="everything, with the text, as one JSON object")
    replay.add_argument(
        "--recompute", action="store_true", help="train to the step again and compare with the ledger"
    )
    replay.add_argument(
        "--page",
        nargs="?",
        const="",
        metavar="FILE",
        help="write the worst samples as a page (default: replay-step-N.html beside the report)",
    )
    replay.set_defaults(call=_replay)


def _add_plan(commands: Any) -> None:
    plan = commands.add_parser(
        "plan", help="plan a training: memory, time, cost, and whether the data suffices"
    )
    plan.add_argument("manifest", type=Path)
    plan.add_argument("--gpu", metavar="NAME", help="kind of GPU, as H100 (default: the manifest's CPUs)")
    plan.add_argument(
        "--gpus", type=option_values.positive, metavar="N", help="GPUs in all (default: as in the manifest)"
    )
    plan.add_argument("--price", type=option_values.price, metavar="P", help="price of one GPU for one hour")
    plan.add_argument(
        "--deadline", type=option_values.duration, metavar="T", help="how many nodes end within T, as 24h"
    )
    plan.add_argument(
        "--tokens",
        type=option_values.positive,
        metavar="N",
        help="unique training tokens of the data, if not here",
    )
    plan.add_argument(
        "--measure",
        action="store_true",
        help="train 20 to 200 steps on this machine to know its speed and memory",
    )
    plan.add_argument("--json", action="store_true", help="one JSON object")
    plan.set_defaults(call=_plan)


def _add_scale(commands: Any) -> None:
    scale = commands.add_parser(
        "scale", help="fit a law to finished runs and say what the next size would reach"
    )
    scale.add_argument(
        "runs", nargs="+", metavar="RUN", help="a run's output folder, name or manifest; three at least"
    )
    scale.add_argument("--size", choices=sorted(SIZES), help="the size to predict (default: the next two)")
    scale.add_argument(
        "--tokens",
        type=option_values.positive,
        metavar="N",
        help="its training tokens (default: 20 per parameter)",
    )
    scale.add_argument(
        "--page", type=Path, default=Path("scaling.html"), metavar="FILE", help="default: scaling.html"
    )
    scale.add_argument("--json", action="store_true", help="one JSON object")
    scale.set_defaults(call=_scale)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; errors that a person can meet become one line and their exit code."""
    options = parser().parse_args(argv)
    try:
        return int(options.call(options))
    except DaybreakError as error:
        print(f"daybreak: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("daybreak: stopped; the same command goes on where it stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output is gone (`| head`)
        return EXIT_OK


def _run(options: argparse.Namespace) -> int:
    from daybreak_pipelines.local.run import run_manifest
    from daybreak_pipelines.scores.suite_names import require_known_suites

    require_known_suites(options.manifest)
    return run_manifest(options.manifest, options.cores)


def _data(options: argparse.Namespace) -> int:
    from daybreak_pipelines.local.run import data_of_manifest

    return data_of_manifest(options.manifest, options.cores)


def _plan(options: argparse.Namespace) -> int:
    from daybreak_pipelines.training_plan.command import Question, plan_manifest

    question = Question(
        options.gpu, options.gpus, options.price, options.deadline, options.tokens, options.measure
    )
    return plan_manifest(options.manifest, question, options.json)


def _scale(options: argparse.Namespace) -> int:
    os.environ.setdefault(
        "OPENBLAS_NUM_THREADS", "1"
    )  # vectors of a few runs: threads only wait for each other
    from daybreak_pipelines.scaling.command import Wanted, scale_runs

    return scale_runs(options.runs, Wanted(options.size, options.tokens), options.page, options.json)


def _validate(options: argparse.Namespace) -> int:
    from daybreak_contracts.manifests import validate
    from daybreak_pipelines.scores.suite_names import unknown_suites

    files = validate.files_of(options.files)
    text, exit_code = validate.report(files)
    unknown = unknown_suites(files)
    print("\n".join([text, *unknown]))
    exit_code = EXIT_USER if unknown else exit_code
    if options.data:
        from daybreak_pipelines.training_plan.command import data_of_manifests

        print(data_of_manifests(files))
    return exit_code


def _inspect(options: argparse.Namespace) -> int:
    from daybreak_data.documents.explain import render_for_person

    for entry in _answers(options.paths, options.manifest):
        print(json.dumps(entry, ensure_ascii=False) if options.json else render_for_person(entry))
    return EXIT_OK


def _answers(paths: Sequence[Path], manifest: Path | None) -> Iterator[dict[str, Any]]:
    from daybreak_data.documents.explain import explain_paths, explain_sources

    if manifest is None:
        if not paths:
            raise UserError("daybreak inspect needs a file or a folder, or a run's sources: --manifest FILE")
        return explain_paths(paths)
    from daybreak_contracts.manifests.validate import load_run
    from daybreak_pipelines.local.run import settings_of

    run = load_run(manifest)
    if paths:
        return explain_paths(paths, run.spec.data)
    return explain_sources(run.spec.data, settings_of(run, cores=1).work_dir, run.spec.seed)


def _serve(options: argparse.Namespace) -> int:
    from daybreak_contracts.manifests.validate import load_deployment
    from daybreak_pipelines.local.record import find_model
    from daybreak_serve.engine.repository import EngineSettings
    from daybreak_serve.local.serving import ServeSettings, by_gateway, serve_forever

    settings = ServeSettings(
        engine=EngineSettings(kind=options.runtime),
        allowed_origins=tuple(options.allow_origin),
        api_keys=options.api_keys,
        insecure=options.insecure,
        tls=tuple(options.tls) if options.tls else None,
    )
    if options.deployment is not None:
        spec = load_deployment(options.deployment).spec
        settings = by_gateway(settings, spec.gateway)
        if spec.scaling.scale_to_zero_seconds is not None:
            print("scaling.scaleToZeroSeconds does not hold here: the model stays loaded", file=sys.stderr)
    return serve_forever(find_model(options.run), host=options.host, port=options.port, settings=settings)


def _key(options: argparse.Namespace) -> int:
    from daybreak_serve.gateway.auth.api_keys import PROXY, new_key

    if options.proxy and options.groups:
        raise UserError("--proxy and --group exclude each other: a proxy names groups with each request")
    key, digest = new_key()
    print(f"key, shown only now: {key}", file=sys.stderr)
    print(f"{options.name} sha256:{digest} {PROXY if options.proxy else ','.join(options.groups)}".rstrip())
    return EXIT_OK


def _export(options: argparse.Namespace) -> int:
    from daybreak_pipelines.local.record import find_model
    from daybreak_train.export.gguf import write_model

    model = find_model(options.run)
    write_model(model, options.gguf)
    print(f"{options.gguf}: {options.gguf.stat().st_size / 1e6:,.1f} MB, the model of {model}")
    return EXIT_OK


def _replay(options: argparse.Namespace) -> int:
    from daybreak_pipelines.local.replay import replay_step

    return replay_step(
        options.run,
        options.step,
        rank=options.rank,
        recompute=options.recompute,
        page=options.page,
        as_json=options.json,
    )


def _job(options: argparse.Namespace) -> int:
    from daybreak_pipelines.local.job import run_job

    return run_job(options.pipeline, options.parameters, os.environ, sys.stderr)


def _complete(options: argparse.Namespace) -> int:
    from daybreak_serve.local.client import complete

    prompt = sys.stdin.read() if options.prompt == "-" else options.prompt
    answer = complete(options.url, prompt=prompt, suffix=options.suffix, max_tokens=options.max_tokens)
    print(answer.text)
    return EXIT_OK
