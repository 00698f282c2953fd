"""``python -m daybreak_operator``: one replica of the operator, set up by the environment.

Owns reading the environment, signals and exit codes: 0 asked to stop, 2 wrong installation, 70 ended by its watchdog,
75 temporary infrastructure failure, anything else a bug.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence

from daybreak_contracts import names
from daybreak_contracts.errors import DaybreakError, UserError, exit_code_of
from daybreak_operator.core.deployment.decide import decide as decide_deployment
from daybreak_operator.core.training.decide import decide as decide_training
from daybreak_operator.core.training.stages.pipeline_runs import ids_to_ask
from daybreak_operator.settings import Settings, from_environment
from daybreak_operator.shell import logs
from daybreak_operator.shell.kube import client as kube
from daybreak_operator.shell.reconcile.reconciler import Decisions
from daybreak_operator.shell.reconcile.work import Pipelines
from daybreak_operator.shell.run import Operator, OperatorConfig

DEFAULT_PORT = str(names.PORT_OPERATOR)
HELP = """settings come from the environment, as the chart sets it (values.yaml says what each is for):
  DAYBREAK_NAMESPACE, DAYBREAK_POD, DAYBREAK_PORT, DAYBREAK_LOG_LEVEL
  DAYBREAK_WATCH_NAMESPACES, DAYBREAK_CLUSTER_SCOPE
  DAYBREAK_BACKEND, DAYBREAK_KUBEFLOW_URL, DAYBREAK_KUBEFLOW_NAMESPACE, DAYBREAK_KUBEFLOW_EXPERIMENT
  DAYBREAK_IMAGE_<COMPONENT>, DAYBREAK_PULL_SECRETS, DAYBREAK_SERVICE_ACCOUNT, DAYBREAK_STORAGE_SECRET
  DAYBREAK_SHARED_CLAIM, DAYBREAK_CLUSTER_DOMAIN, DAYBREAK_POD_DEFAULTS (JSON)
  DAYBREAK_NODE_LABELS (JSON), DAYBREAK_GATEWAY_CLIENTS
the API server is reached by the pod's service account, or by KUBECONFIG

exit codes: 0 asked to stop, 2 wrong installation, 70 ended by its watchdog, 75 temporary infrastructure failure"""

DECISIONS = Decisions(decide_training, decide_deployment, ids_to_ask)


def pipelines_of(settings: Settings, client: kube.Kube) -> Pipelines | None:
    """Return Kubeflow's back end, where the installation has one; kfp is imported for those only."""
    if not settings.kubeflow_url:
        return None
    from daybreak_operator.shell.kubeflow.back_end import back_end

    return back_end(settings, client)


def installation(environment: Mapping[str, str]) -> OperatorConfig:
    """Return what the environment asks for; UserError for a value that can't be."""
    settings = from_environment(environment)
    port = environment.get("DAYBREAK_PORT", DEFAULT_PORT)
    if not port.isdigit():
        raise UserError(f"DAYBREAK_PORT must be a port number, got {port!r}")
    client = kube.connect(environment)
    return OperatorConfig(
        kube=client,
        settings=settings,
        decisions=DECISIONS,
        me=environment.get("DAYBREAK_POD", f"{socket.gethostname()}-{os.getpid()}"),
        port=int(port),
        pipelines=pipelines_of(settings, client),
        take_signals=take_signals,
    )


def take_signals(stop: asyncio.Event) -> None:
    """Stop in good order on SIGTERM and SIGINT."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)


async def operate(wanted: OperatorConfig) -> None:
    """Run until a signal asks to stop."""
    stop = asyncio.Event()
    take_signals(stop)
    await Operator(wanted).run(stop)


def main(environment: Mapping[str, str], arguments: Sequence[str]) -> int:
    """Run one replica; return the exit code. There are no arguments but ``--help``."""
    argparse.ArgumentParser(
        prog="python -m daybreak_operator",
        description="The Kubernetes operator for TrainingRun and ModelDeployment: run one replica.",
        epilog=HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    ).parse_args(arguments)
    try:
        logs.set_up(environment.get("DAYBREAK_LOG_LEVEL", "INFO"))
        asyncio.run(operate(installation(environment)))
    except DaybreakError as error:
        print(f"daybreak-operator: {error}", file=sys.stderr)
        return exit_code_of(error)
    return 0


if __name__ == "__main__":
    code = main(os.environ, sys.argv[1:])
    sys.stderr.flush()
    os._exit(code)  # watches block in reads that no one waits for any more
