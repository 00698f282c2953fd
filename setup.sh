#!/usr/bin/env bash
# Installs what is missing and nothing else: uv and two locked environments, `.venv` for the rooms and `.venv-triton`
# for the Triton server; with --vllm a third, `.venv-triton-vllm`, for the runtime TritonVLLM. What only a person can mend is told first, in one sentence with the remedy and exit code 2,
# before anything is downloaded. Everything comes from package registries, and Python from the system.
set -euo pipefail
cd "$(dirname "$0")"
export UV_PYTHON_DOWNLOADS=never UV_PYTHON_PREFERENCE=only-system
TRITON=components/serve/triton
VLLM=components/serve/vllm
NEEDED_GB=10 # both environments and what uv unpacks on the way; uv's cache shares its files with them

say() { echo "setup: $*" >&2; }
fail() {
  say "$*"
  exit 2
}
case "$*" in
  "") with_vllm="" ;;
  --vllm) with_vllm=yes NEEDED_VLLM_GB=10 ;;
  *) fail "takes no argument but --vllm, got $*" ;;
esac
version_of() { "$1" -I -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null; }

# find_python VERSION...: the first command of these versions, sought by name and behind python3.
find_python() {
  local version command
  for version in "$@"; do
    for command in .venv/bin/python "python$version" python3 /usr/bin/python3; do
      [ "$(version_of "$command")" = "$version" ] && command -v "$command" && return
    done
  done
  return 1
}

# As root on Debian or Ubuntu the system's packages that we need are installed; anybody else is told their names.
system_package() {
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    say "installing $1"
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$1"; } \
      >/dev/null && return
  fi
  fail "$2: install $1 with your package manager (Debian, Ubuntu: sudo apt-get install $1)"
}

# What the backend's Python is loaded from; empty when it was built without a shared library and Debian's is missing.
libpython_of() {
  "$1" -I -c '
import sys, sysconfig
from pathlib import Path
beside = Path(sys._base_executable).resolve().parent.parent / "lib"
name = "libpython%d.%d.so.1.0" % sys.version_info[:2]
folders = (beside, beside / str(sysconfig.get_config_var("MULTIARCH")))
print(*[folder / name for folder in folders if (folder / name).exists()][:1])'
}

java() { PYTHONPATH=components/contracts/src:components/data/src "$python" -m daybreak_data.spark.java; }

python="$(find_python 3.11 3.12 3.13)" || fail "Python 3.11, 3.12 or 3.13 is needed and python3 here is \
$(version_of python3 || echo missing): install one of them (Debian 12 and 13, Ubuntu 24.04: sudo apt-get install python3)"
triton_python="$python"
if [ "$(version_of "$python")" = 3.13 ] && ! triton_python="$(find_python 3.12 3.11)"; then
  say "the Triton server needs Python 3.11 or 3.12 beside this 3.13: all but local serving works without it"
fi
[ -z "$with_vllm" ] || [ -n "$triton_python" ] || fail "--vllm needs Python 3.11 or 3.12 beside this 3.13: install one"
needed_gb=0
[ -d .venv ] || needed_gb=$NEEDED_GB
[ -z "$with_vllm" ] || [ -d .venv-triton-vllm ] || needed_gb=$((needed_gb + NEEDED_VLLM_GB))
if [ "$needed_gb" -gt 0 ]; then
  free_kb="$(df -Pk . | awk 'NR == 2 {print $4}')"
  [ "$free_kb" -ge $((needed_gb * 1024 * 1024)) ] || fail "the environments need $needed_gb GB and \
$((free_kb / 1024 / 1024)) GB are free below $PWD: free some, or clone to a larger disk"
fi
if ! said="$(java 2>&1)"; then
  system_package default-jre-headless "${said#setup: }"
  said="$(java 2>&1)" || fail "${said#setup: }"
fi
if [ -n "$triton_python" ] && [ -z "$(libpython_of "$triton_python")" ]; then
  system_package "libpython$(version_of "$triton_python")" "Triton's Python backend needs the library of $triton_python"
fi

export PATH="$PWD/.cache/uv/bin:$HOME/.local/bin:$PATH"
if ! command -v uv >/dev/null; then
  say "installing uv into .cache/uv"
  "$python" -m venv .cache/uv 2>/dev/null || {
    system_package python3-venv "Python's venv module is missing"
    "$python" -m venv --clear .cache/uv
  }
  .cache/uv/bin/python -m pip install --quiet uv
fi

# sync FOLDER LOCK PYTHON [OPTION...]: the environment as its lock says, unless it is so already.
sync() {
  local folder="$1" lock="$2" interpreter="$3"
  cmp -s "$lock" "$folder/.lock-installed" && "$folder/bin/python" -c "" 2>/dev/null && return
  say "installing the locked environment $folder"
  UV_PROJECT_ENVIRONMENT="$PWD/$folder" uv sync --frozen --quiet --compile-bytecode --python "$interpreter" "${@:4}"
  cp "$lock" "$folder/.lock-installed"
}
# mlflow-skinny anew: an older environment's whole mlflow shares its files and takes them along when it goes
sync .venv uv.lock "$python" --reinstall-package mlflow-skinny
[ -z "$triton_python" ] || sync .venv-triton "$TRITON/uv.lock" "$triton_python" --project "$TRITON"
if [ -n "$with_vllm" ]; then
  for_what=cpu
  if nvidia-smi -L >/dev/null 2>&1; then for_what=cuda; fi
  sync .venv-triton-vllm "$VLLM/$for_what/uv.lock" "$triton_python" --project "$VLLM/$for_what"
fi
# Without it Spark starts more slowly, and that is all.
.venv/bin/python -m daybreak_data.class_archive || say "Spark's sessions will start more slowly"
say "${said#setup: }, Python $(version_of .venv/bin/python)"
