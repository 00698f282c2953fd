"""The steps of a run in their order, what they are called, and which pipeline has them. Pure.

Their arguments are built by ``daybreak_contracts.arguments``, on a cluster as here.
"""

from __future__ import annotations

from daybreak_contracts import names
from daybreak_contracts.names import DATA_PIPELINE, MODEL_PIPELINE

DATA_STEPS = (names.STEP_DOCUMENTS, names.STEP_XRAY, names.STEP_TOKENIZER, names.STEP_SHARDS)
MODEL_STEPS = (names.STEP_EXPORT, names.STEP_EVALUATE)
STEP_SERVE = "serve"
STEPS = (*DATA_STEPS, names.STEP_TRAIN, *MODEL_STEPS, STEP_SERVE)

TITLES = {
    names.STEP_DOCUMENTS: "Clean documents",
    names.STEP_XRAY: "X-ray",
    names.STEP_TOKENIZER: "Tokenizer",
    names.STEP_SHARDS: "Token shards",
    names.STEP_TRAIN: "Train",
    names.STEP_EXPORT: "Export",
    names.STEP_EVALUATE: "Evaluate",
    STEP_SERVE: "Serve",
}


PIPELINE_STEPS = {DATA_PIPELINE: DATA_STEPS, MODEL_PIPELINE: MODEL_STEPS}
