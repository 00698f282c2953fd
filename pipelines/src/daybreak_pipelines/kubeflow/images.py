"""Which container image each component runs in. A deployment replaces them by digest; here only the names."""

from __future__ import annotations

TAG = "0.1.0"
DATA = f"daybreak-data:{TAG}"
TRAIN = f"daybreak-train:{TAG}"
EVALUATE = f"daybreak-evaluate:{TAG}"
