#!/usr/bin/env bash
# Installs what is missing and nothing else: uv, the locked environment, Java for Spark, libpython for Triton's stub.
set -euo pipefail
cd "$(dirname "$0")"
export PATH="$PWD/.cache/uv/bin:$HOME/.local/bin:$PATH"

say() { echo "setup: $*" >&2; }

# As root on Debian or Ubuntu the system packages that we need are installed; anybody else is told their names.
system_package() {
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    say "installing $*"
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$@" >/dev/null
  else
    say "missing: $*; install it with your package manager (Debian, Ubuntu: sudo apt-get install $*)"
    exit 2
  fi
}

python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || system_package python3
if ! command -v uv >/dev/null; then
  say "installing uv into .cache/uv"
  python3 -m venv .cache/uv 2>/dev/null || { system_package python3-venv; python3 -m venv --clear .cache/uv; }
  .cache/uv/bin/python -m pip install --quiet uv
fi
stamp=.venv/.lock-installed
if ! cmp -s uv.lock "$stamp" || ! .venv/bin/python -c "" 2>/dev/null; then
  say "installing the locked environment (two minutes the first time)"
  uv sync --frozen --quiet --compile-bytecode
  cp uv.lock "$stamp"
fi
.venv/bin/python -m daybreak_data.spark.java || { [ "$(id -u)" = 0 ] && system_package default-jre-headless && .venv/bin/python -m daybreak_data.spark.java; } || exit 2
[ -n "$(.venv/bin/python -c 'import ctypes.util, glob, sys; print(*glob.glob(sys.base_prefix + "/lib/libpython3.11.so.1.0"), ctypes.util.find_library("python3.11") or "")' | tr -d " ")" ] || system_package libpython3.11
