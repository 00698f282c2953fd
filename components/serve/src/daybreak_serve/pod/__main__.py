"""``python -m daybreak_serve.pod {fetch,engine,gateway,sign}``: what the pods of a ModelDeployment run.

Exit codes are the steps': 0, 2, 75, anything else a bug. The reason also goes to the pod's termination message.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from daybreak_contracts import launch, names
from daybreak_contracts.errors import EXIT_OK, DaybreakError, UserError
from daybreak_contracts.kubernetes_access import listening_host
from daybreak_contracts.resources.fields import Resource

Part = TypeVar("Part", bound=Resource)


def main(argv: Sequence[str] | None = None, termination_log: Path = launch.TERMINATION_LOG) -> int:
    """Run one command; the exit code tells whose fault an early end was."""
    parser = argparse.ArgumentParser(prog="python -m daybreak_serve.pod", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    add_fetch(commands.add_parser("fetch", help="bring a model folder here and check it"))
    add_engine(commands.add_parser("engine", help="serve a fetched model by Triton"))
    add_gateway(commands.add_parser("gateway", help="answer editors by the engines of a ModelDeployment"))
    add_sign(commands.add_parser("sign", help="sign a model folder"))
    options = parser.parse_args(argv)
    try:
        COMMANDS[options.command](options)
    except Exception as error:
        message = f"{options.command}: {error or type(error).__name__}"
        launch.say_at_the_end(message, termination_log)
        if not isinstance(error, DaybreakError):
            raise
        print(message, file=sys.stderr, flush=True)
        return error.exit_code
    return EXIT_OK


def add_fetch(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``fetch``."""
    parser.add_argument("--uri", required=True, help="model folder: a path, s3:// or gs://")
    parser.add_argument("--digest", required=True, help="of the model, as the run's status.model says it")
    parser.add_argument("--into", required=True, type=Path, help="folder to make")
    parser.add_argument("--public-key", type=Path, help="PEM file; only a model signed by its owner is taken")


def add_engine(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``engine``."""
    parser.add_argument("--model", required=True, type=Path, help="what fetch brought")
    parser.add_argument("--host", default=listening_host(os.environ), help="address to listen on")
    parser.add_argument("--port", type=int, default=names.PORT_ENGINE, help="of gRPC")
    parser.add_argument(
        "--metrics-port", type=int, default=names.PORT_ENGINE_METRICS, help="of Triton's Prometheus metrics"
    )
    parser.add_argument(
        "--http-port", type=int, default=names.PORT_ENGINE_HTTP, help="of the probes and the model's metadata"
    )
    parser.add_argument(
        "--runtime",
        choices=names.RUNTIMES,
        default=names.RUNTIME_PYTHON,
        help="what answers; each has an environment of its own",
    )
    parser.add_argument("--max-concurrency", type=int, default=8, help="requests that are answered at once")
    parser.add_argument(
        "--linger-seconds", type=float, default=3.0, help="requests are still taken at the end"
    )
    parser.add_argument("--drain-seconds", type=float, default=25.0, help="bound of the whole end")


def add_gateway(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``gateway``."""
    parser.add_argument("--deployment", required=True, metavar="NAMESPACE/NAME", help="the ModelDeployment")
    parser.add_argument("--host", default=listening_host(os.environ), help="address to listen on")
    parser.add_argument("--port", type=int, default=names.PORT_GATEWAY, help="of completions and events")
    parser.add_argument(
        "--metrics-port", type=int, default=names.PORT_GATEWAY_METRICS, help="of /snapshot and /metrics"
    )
    parser.add_argument("--model-name", default="daybreak", help="what clients call the model")
    parser.add_argument("--max-held", type=int, default=256, help="requests that may wait for a place")
    parser.add_argument("--api-keys", default="", help="file of API keys; it may change")
    parser.add_argument("--jwt", default="", help="JSON: spec.gateway.auth.jwt of the ModelDeployment")
    parser.add_argument("--limits", default="", help="JSON: spec.gateway.limits of the ModelDeployment")
    parser.add_argument(
        "--allow-origin", action="append", default=[], help="a web page that may ask, repeatable"
    )
    parser.add_argument("--event-log", default="", help="JSONL file of events; none is kept by default")
    parser.add_argument(
        "--linger-seconds", type=float, default=5.0, help="connections are still taken at the end"
    )
    parser.add_argument("--drain-seconds", type=int, default=20, help="bound of what is in flight after that")
    parser.add_argument("--api-server", help="URL; by default the one that every pod knows")
    parser.add_argument("--token-file", type=Path, help="for --api-server")
    parser.add_argument("--ca-file", type=Path, help="for --api-server")


def add_sign(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``sign``."""
    parser.add_argument("--model", required=True, help="model folder: a path, s3:// or gs://")
    parser.add_argument("--private-key", required=True, type=Path, help="Ed25519 key in PEM")


def _fetch(options: argparse.Namespace) -> None:
    from daybreak_serve.pod.fetch import FetchArgs, fetch
    from daybreak_serve.pod.starting import leave_note

    args, began_s = FetchArgs(options.uri, options.digest, options.into, options.public_key), time.monotonic()
    manifest = fetch(args, launch.progress_of("fetch", os.environ))
    took_s, num_bytes = time.monotonic() - began_s, sum(entry.size for entry in manifest.files)
    leave_note(options.into.absolute(), took_s, num_bytes)
    print(f"fetched {manifest.digest} into {options.into}, {num_bytes} bytes in {took_s:.1f} s", flush=True)


def _engine(options: argparse.Namespace) -> None:
    from daybreak_serve.engine.repository import EngineSettings
    from daybreak_serve.pod.engine import EngineArgs, run

    args = EngineArgs(
        model=options.model,
        host=options.host,
        port=options.port,
        metrics_port=options.metrics_port,
        http_port=options.http_port,
        linger_s=options.linger_seconds,
        drain_s=options.drain_seconds,
        settings=EngineSettings(kind=options.runtime, max_running=options.max_concurrency),
    )
    run(args, launch.progress_of("engine", os.environ))


def _gateway(options: argparse.Namespace) -> None:
    from daybreak_contracts.kubernetes_access import Access, access_of_pod, is_in_pod
    from daybreak_contracts.resources.access import AccessLimits, TokenIssuer
    from daybreak_serve.gateway.config import GatewaySettings
    from daybreak_serve.pod.gateway import GatewayArgs, own_address, parse_deployment, run

    namespace, name = parse_deployment(options.deployment)
    if options.api_server:
        access = Access(options.api_server, options.token_file, options.ca_file)
    elif is_in_pod(os.environ):
        access = access_of_pod(os.environ)
    else:
        raise UserError("KUBERNETES_SERVICE_HOST is not set: this is no pod, give --api-server")
    settings = GatewaySettings(
        model_name=options.model_name,
        max_held=options.max_held,
        event_log=options.event_log,
        api_keys=options.api_keys,
        jwt=_part(options.jwt, TokenIssuer, "--jwt"),
        limits=_part(options.limits, AccessLimits, "--limits") or AccessLimits(),
        allowed_origins=tuple(options.allow_origin),
        host=options.host,
        port=options.port,
        drain_s=options.drain_seconds,
    )
    args = GatewayArgs(
        namespace=namespace,
        deployment=name,
        access=access,
        settings=settings,
        metrics_port=options.metrics_port,
        linger_s=options.linger_seconds,
        address=own_address(),
    )
    run(args)


def _part(text: str, kind: type[Part], option: str) -> Part | None:
    """Return a part of a resource that an option holds as JSON; None for an empty one."""
    try:
        return kind.model_validate_json(text) if text else None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "it"
        raise UserError(f"{option}: {place}: {first['msg']}") from error


def _sign(options: argparse.Namespace) -> None:
    from daybreak_serve.pod.signature import sign

    print(f"signed: {sign(options.model, options.private_key)}", flush=True)


COMMANDS: Mapping[str, Callable[[argparse.Namespace], None]] = {
    "fetch": _fetch,
    "engine": _engine,
    "gateway": _gateway,
    "sign": _sign,
}

if __name__ == "__main__":
    sys.exit(main())
