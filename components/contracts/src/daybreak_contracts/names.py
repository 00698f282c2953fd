"""Every name that is said in more than one place: API group, kinds, labels, finalizers, steps.

Nothing else in the project spells the label prefix (a ratchet test holds it).
"""

from __future__ import annotations

from typing import Literal

GROUP = "daybreak.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
ApiVersion = Literal["daybreak.dev/v1alpha1"]
"""The same as a type; a type checker knows no computed literals."""
CATEGORY = "daybreak"

STEP_INGEST = "ingest"
STEP_DOCUMENTS = "documents"
STEP_XRAY = "xray"
STEP_TOKENIZER = "tokenizer"
STEP_SHARDS = "shards"
STEP_TRAIN = "train"
STEP_EXPORT = "export"
STEP_EVALUATE = "evaluate"

# Special tokens, in the order of their ids. StarCoder's spelling: every FIM-capable editor plug-in knows it.
END_OF_TEXT = "<|endoftext|>"
FIM_PREFIX = "<fim_prefix>"
FIM_MIDDLE = "<fim_middle>"
FIM_SUFFIX = "<fim_suffix>"
FIM_PAD = "<fim_pad>"
REPOSITORY_NAME = "<|repo_name|>"
FILE_SEPARATOR = "<|file_sep|>"
PERSONAL_DATA_TOKENS = ("<NAME>", "<EMAIL>", "<KEY>", "<PASSWORD>")
DENOISER_TOKENS = ("[R]", "[S]", "[X]")
NUM_SENTINELS = 100
SENTINEL_TOKENS = tuple(f"<extra_id_{index}>" for index in range(NUM_SENTINELS))
SPECIAL_TOKENS = (
    END_OF_TEXT,
    FIM_PREFIX,
    FIM_MIDDLE,
    FIM_SUFFIX,
    FIM_PAD,
    REPOSITORY_NAME,
    FILE_SEPARATOR,
    *PERSONAL_DATA_TOKENS,
    *DENOISER_TOKENS,
    *SENTINEL_TOKENS,
)
