"""Keeps the libraries of a training from talking, to the terminal and to the network.

Owns environment variables and filters of third parties. Called once, by the step's own process.
"""

from __future__ import annotations

import logging
import os
import warnings

_VARIABLES = {
    "TOKENIZERS_PARALLELISM": "false",
    "DO_NOT_TRACK": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TORCH_CPP_LOG_LEVEL": "ERROR",
    "TORCH_NCCL_ASYNC_ERROR_HANDLING": "1",
    # idle threads sleep: spinning ones take the cores from whoever else is on the machine, and then from us
    "OMP_WAIT_POLICY": "PASSIVE",
}
_LIBRARIES = (
    "composer",
    "streaming",
    "torch",
    "torchmetrics",
    "mlflow",
    "alembic",
    "sqlalchemy",
    "wandb",
    "transformers",
)


def silence_libraries() -> None:
    """Set what is not set already; warnings of libraries become silent, our own stay."""
    for name, value in _VARIABLES.items():
        os.environ.setdefault(name, value)
    for name in _LIBRARIES:
        warnings.filterwarnings("ignore", module=rf"{name}(\..*)?")
        logging.getLogger(name).setLevel(logging.ERROR)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
