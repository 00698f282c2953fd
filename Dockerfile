# Every image is made of this file; ROOM says which: operator, data, train, evaluate, serve, vllm or pipelines (docs/images.md).
# From the root of the repository: make images, or docker build --build-arg ROOM=operator --tag daybreak/operator:0.1.0 .
# A release pins the base by digest (PYTHON_DIGEST=@sha256:...); PYTHON_IMAGE may name a mirror's.
ARG PYTHON_IMAGE=python
ARG PYTHON_TAG=3.11-slim-bookworm
ARG PYTHON_DIGEST=""

FROM ${PYTHON_IMAGE}:${PYTHON_TAG}${PYTHON_DIGEST} AS build
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_NO_CACHE=1 UV_PYTHON_DOWNLOADS=never
WORKDIR /app
RUN pip install --no-cache-dir uv==0.13.9
# What the lock says first: our own code changes more often, and is a small layer of its own.
COPY pyproject.toml uv.lock ./
COPY components/contracts/pyproject.toml components/contracts/
COPY components/model/pyproject.toml components/model/
COPY components/data/pyproject.toml components/data/
COPY components/train/pyproject.toml components/train/
COPY components/evaluate/pyproject.toml components/evaluate/
COPY components/serve/pyproject.toml components/serve/
COPY components/serve/triton components/serve/triton
COPY components/serve/vllm components/serve/vllm
COPY pipelines/pyproject.toml pipelines/
COPY operator/pyproject.toml operator/
ARG ROOM
# An index that has torch and torchvision without CUDA, for rooms that compute on CPUs only; empty: as locked, with CUDA.
# Both: torchvision is linked with the torch that it was built for, and Composer does not load without it.
ARG TORCH_INDEX=""
# Of ROOM=vllm: cuda, or cpu.
ARG VLLM=cuda
# A Kubeflow task is started by kfp inside its component's image: kfp alone, for there it imports nothing else.
# Plain sh: images in the OCI format know no SHELL.
# hadolint ignore=SC2086,DL4006
RUN set -eu; task=""; case "${ROOM}" in \
      operator | serve) packages="--package daybreak-${ROOM}" ;; \
      vllm) packages="--package daybreak-serve" ;; \
      data | train | evaluate) packages="--package daybreak-${ROOM}"; task=yes ;; \
      pipelines) packages="--package daybreak-data --package daybreak-train --package daybreak-evaluate --package daybreak-pipelines" ;; \
      *) echo "ROOM must be operator, data, train, evaluate, serve, vllm or pipelines, not '${ROOM}'" >&2; exit 2 ;; \
    esac; \
    uv export --frozen --quiet --no-dev --no-editable --no-hashes --no-annotate --no-header ${packages} > all.txt; \
    grep '^\./' all.txt > ours.txt; \
    install() { \
      export UV_PROJECT_ENVIRONMENT="/app/$1" VIRTUAL_ENV="/app/$1"; list="$2"; shift 2; \
      without=""; torch="$(sed -nE 's/^((torch|torchvision)==[^ ;]*).*$/\1/p' "${list}")"; \
      if [ -n "${TORCH_INDEX}" ] && [ -n "${torch}" ]; then \
        without="$(sed -nE 's/^((torch|torchvision|triton|nvidia-[a-oq-z0-9-][a-z0-9-]*|cuda-[a-z0-9-]+)==.*)$/--no-install-package \2/p' "${list}")"; \
      fi; \
      uv sync --frozen --no-dev --no-editable --no-install-workspace "$@" ${without}; \
      if [ -n "${without}" ]; then uv pip install --no-deps --index-url "${TORCH_INDEX}" ${torch}; fi; \
    }; \
    install .venv all.txt ${packages}; \
    if [ -n "${task}" ]; then \
      uv export --frozen --quiet --no-dev --no-hashes --no-annotate --no-header --package daybreak-pipelines > task.txt; \
      uv pip install --no-deps "$(grep '^kfp==' task.txt)"; \
    fi; \
    mkdir -p /app/.venv-triton /app/.venv-triton-vllm; \
    if [ "${ROOM}" = serve ]; then \
      uv export --frozen --quiet --no-dev --no-hashes --no-annotate --no-header --project components/serve/triton > triton.txt; \
      install .venv-triton triton.txt --project components/serve/triton; \
    fi; \
    if [ "${ROOM}" = vllm ]; then \
      uv export --frozen --quiet --no-dev --no-hashes --no-annotate --no-header --project "components/serve/vllm/${VLLM}" > vllm.txt; \
      install .venv-triton-vllm vllm.txt --project "components/serve/vllm/${VLLM}"; \
    fi; \
    rm -rf /app/.venv/lib/python3*/site-packages/pandas/tests /app/.venv/lib/python3*/site-packages/pyarrow/tests \
      /app/.venv/lib/python3*/site-packages/pyspark/jars/rocksdbjni-*.jar
COPY components components
COPY pipelines pipelines
COPY operator operator
# `docker run IMAGE` without arguments runs the room's own program. Of the pipelines the operator reads the compiled
# packages only, as data: kfp stays out of its image.
RUN set -eu; uv pip install --no-deps --target /app/daybreak --requirements ours.txt; \
    case "${ROOM}" in serve | vllm) module=daybreak_serve.pod ;; *) module="daybreak_${ROOM}" ;; esac; \
    echo "import runpy; runpy.run_module('${module}', run_name='__main__', alter_sys=True)" > /app/daybreak/room.py; \
    if [ "${ROOM}" = operator ]; then \
      mkdir /app/daybreak/daybreak_pipelines; \
      cp -r pipelines/src/daybreak_pipelines/compiled /app/daybreak/daybreak_pipelines/; \
    fi

FROM ${PYTHON_IMAGE}:${PYTHON_TAG}${PYTHON_DIGEST}
ARG ROOM
# vllm: on GPUs its kernels are compiled when they are first used, by a C compiler.
# hadolint ignore=DL3008
RUN useradd --uid 10001 --create-home daybreak \
    && case "${ROOM}" in data | pipelines) \
      apt-get update \
      && apt-get install --yes --no-install-recommends git openjdk-17-jre-headless tini \
      && apt-get clean \
      && rm -rf /var/lib/apt/lists/* ;; \
    vllm) \
      apt-get update \
      && apt-get install --yes --no-install-recommends gcc libc6-dev \
      && apt-get clean \
      && rm -rf /var/lib/apt/lists/* ;; \
    esac
COPY --from=build /app/.venv /app/.venv
# The Triton server and what its Python backend loads (docs/decisions/0002); empty but for ROOM=serve and ROOM=vllm.
COPY --from=build /app/.venv-triton /app/.venv-triton
COPY --from=build /app/.venv-triton-vllm /app/.venv-triton-vllm
COPY --from=build /app/daybreak /app/daybreak
ENV PATH=/app/.venv/bin:$PATH PYTHONPATH=/app/daybreak PYTHONUNBUFFERED=1
USER 10001
WORKDIR /home/daybreak
# Pods name the module: python -m daybreak_operator, daybreak_serve.pod, ...
ENTRYPOINT ["python", "-m"]
CMD ["room"]
