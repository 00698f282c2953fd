"""Which container image each component runs in, as ``make images`` names them.

The operator puts those of its installation in their place.
"""

from __future__ import annotations

TAG = "0.1.0"
DATA = f"daybreak/data:{TAG}"
TRAIN = f"daybreak/train:{TAG}"
EVALUATE = f"daybreak/evaluate:{TAG}"
