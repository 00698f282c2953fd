#!/usr/bin/env bash
# Installs what is missing and nothing else: uv, the locked environment, Java for Spark, libpython for Triton's stub.
set -euo pipefail
cd "$(dirname "$0")"
export PATH="$HOME/.local/bin:$PATH"

if ! command -v uv >/dev/null; then
  echo "setup: installing uv"
  python3 -m pip install --quiet --user uv 2>/dev/null || python3 -m pip install --quiet --user --break-system-packages uv
fi
stamp=.venv/.daybreak-lock
if ! cmp -s uv.lock "$stamp" 2>/dev/null || ! .venv/bin/python -c "" 2>/dev/null; then
  echo "setup: installing the locked environment (about 90 s the first time)"
  uv sync --frozen --quiet
  cp uv.lock "$stamp"
fi
.venv/bin/python -m daybreak_data.java
