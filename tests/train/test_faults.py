"""Who is told to mend what ends a training, by the words that CUDA, NCCL, gloo and torchrun really use.

The texts are as public reports quote them, shortened; those of gloo, the store and the allocator were provoked with the
torch of this environment.
"""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daybreak_contracts import errors
from daybreak_contracts.errors import ArtifactError, TransientError, UserError
from daybreak_train import faults
from daybreak_train.faults import FaultScene, PeerLostError, explained

FIRST, LATER = FaultScene("rank 3", "gpu-7", num_steps=0), FaultScene("rank 3", "gpu-7", num_steps=12)
GLOO = "[/__w/pytorch/pytorch/third_party/gloo/gloo/transport/tcp/"
CAUSED = "This is typically caused by a remote worker crashing. Check the logs of the remote worker. GLHF!"
HINTS = (
    "\nCUDA kernel errors might be asynchronously reported at some other API call, so the stacktrace below might be "
    "incorrect.\nFor debugging consider passing CUDA_LAUNCH_BLOCKING=1\nCompile with `TORCH_USE_CUDA_DSA`.\n"
)
OUT_OF_MEMORY = (
    "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.15 GiB of which 1.41 GiB is "
    "free. {others}Including non-PyTorch memory, this process has {mine} GiB memory in use. Of the allocated memory "
    "75.02 GiB is allocated by PyTorch, and 1.20 GiB is reserved by PyTorch but unallocated."
)


class OutOfMemoryError(RuntimeError):
    """torch's own; a build without CUDA cannot raise it."""


class DistBackendError(RuntimeError):
    """torch's, of NCCL."""


class DistNetworkError(RuntimeError):
    """torch's, of its store."""


class DistStoreError(RuntimeError):
    """torch's, of its store."""


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        pytest.param(
            OutOfMemoryError(OUT_OF_MEMORY.format(others="", mine="77.73")),
            UserError,
            r"rank 3 on gpu-7: its GPU of 79.15 GiB has too little memory, 2.00 GiB more was needed in the first step.*"
            r"daybreak plan",
            id="gpu-memory",
        ),
        pytest.param(
            RuntimeError(
                "CUDA out of memory. Tried to allocate 192.00 MiB (GPU 0; 4.00 GiB total capacity; 3.08 GiB already "
                "allocated; 0 bytes free; 3.47 GiB reserved in total by PyTorch)"
            ),
            UserError,
            "its GPU of 4.00 GiB has too little memory, 192.00 MiB more",
            id="gpu-memory-as-older-releases-say-it",
        ),
        pytest.param(
            OutOfMemoryError(
                "CUDA out of memory. Tried to allocate 55.57 GiB. GPU 0 has a total capacty of 12.00 GiB"
            ),
            UserError,
            "its GPU of 12.00 GiB",
            id="gpu-memory-misspelt",
        ),
        pytest.param(
            OutOfMemoryError(
                OUT_OF_MEMORY.format(others="Process 4711 has 70.11 GiB memory in use. ", mine="7.52")
            ),
            TransientError,
            "another process holds 70.11 GiB of it",
            id="gpu-memory-that-somebody-else-holds",
        ),
        pytest.param(
            RuntimeError("CUDA error: out of memory" + HINTS),
            TransientError,
            r"no memory left \(CUDA error: out of memory\): another process",
            id="no-room-for-a-context",
        ),
        pytest.param(
            RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
            TransientError,
            "no memory left",
            id="no-room-for-a-library",
        ),
        pytest.param(
            RuntimeError(
                "HIP out of memory. Tried to allocate 1.00 GiB. GPU 0 has a total capacity of 63.98 GiB"
            ),
            UserError,
            "its GPU of 63.98 GiB",
            id="amd",
        ),
        pytest.param(
            RuntimeError("CUDA error: uncorrectable ECC error encountered" + HINTS),
            TransientError,
            r"the GPU of rank 3 on gpu-7 is faulty \(CUDA error: uncorrectable ECC error encountered\).*Xid",
            id="ecc",
        ),
        pytest.param(
            RuntimeError("CUDA error: unspecified launch failure" + HINTS),
            TransientError,
            "is faulty",
            id="launch",
        ),
        pytest.param(
            RuntimeError("CUDA error: unknown error" + HINTS),
            TransientError,
            "is faulty",
            id="fell-off-the-bus",
        ),
        pytest.param(
            RuntimeError(
                "Unexpected error from cudaGetDeviceCount(). Did you run some cuda functions before calling "
                "NumCudaDevices() that might have already set an error? Error 802: system not yet initialized"
            ),
            TransientError,
            "fabric manager",
            id="fabric-manager",
        ),
        pytest.param(
            RuntimeError("CUDA error: CUDA-capable device(s) is/are busy or unavailable"),
            TransientError,
            "exclusive use",
            id="exclusive-use",
        ),
        pytest.param(
            RuntimeError(
                "The NVIDIA driver on your system is too old (found version 11040). Please update your GPU driver"
            ),
            UserError,
            "newer driver",
            id="driver-too-old",
        ),
        pytest.param(
            RuntimeError("CUDA error: no kernel image is available for execution on the device" + HINTS),
            UserError,
            "built for this GPU",
            id="gpu-that-torch-was-not-built-for",
        ),
        pytest.param(
            RuntimeError("CUDA error: invalid device ordinal" + HINTS),
            UserError,
            "gpusPerNode",
            id="too-few-gpus",
        ),
        pytest.param(RuntimeError("No CUDA GPUs are available"), UserError, "gpusPerNode", id="no-gpu"),
        pytest.param(
            RuntimeError("Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU"),
            UserError,
            "gpusPerNode",
            id="no-driver",
        ),
        pytest.param(
            DistBackendError(
                "NCCL error in: /pytorch/torch/csrc/distributed/c10d/NCCLUtils.cpp:77, invalid usage\n"
                "ncclInvalidUsage: This usually reflects invalid usage of NCCL library.\nLast error:\n"
                "Duplicate GPU detected : rank 1 and rank 0 both on CUDA device 61000"
            ),
            UserError,
            "gpusPerNode",
            id="two-processes-on-one-gpu",
        ),
        pytest.param(
            DistBackendError(
                "NCCL error in: ../torch/csrc/distributed/c10d/ProcessGroupNCCL.cpp:1333, unhandled system error\n"
                "ncclSystemError: System call failed.\nLast error:\n"
                "Error while creating shared memory segment /dev/shm/nccl-bLJCCd (size 9637888)"
            ),
            UserError,
            "/dev/shm is too small",
            id="shared-memory-of-nccl",
        ),
        pytest.param(
            OSError(28, "No space left on device", "/dev/shm/daybreak-1"),
            UserError,
            "/dev/shm is too small",
            id="shm",
        ),
        pytest.param(
            RuntimeError(
                "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried "
                "to allocate 4503599627370496 bytes. Error code 12 (Cannot allocate memory)"
            ),
            TransientError,
            "out of memory.*more memory",
            id="memory",
        ),
        pytest.param(MemoryError(), TransientError, "out of memory", id="memory-of-python"),
        pytest.param(RuntimeError("can't start new thread"), UserError, "ulimit -u", id="threads"),
        pytest.param(
            BlockingIOError(11, "Resource temporarily unavailable"), UserError, "ulimit -u", id="processes"
        ),
        pytest.param(
            DistNetworkError(
                "The server socket has failed to listen on any local network address. port: 29500, useIpv6: false, "
                "code: -98, name: EADDRINUSE, message: address already in use"
            ),
            TransientError,
            "port at which ranks meet is taken",
            id="port",
        ),
        pytest.param(
            DistNetworkError(
                "The client socket has timed out after 60000ms while trying to connect to (run-0, 23456)."
            ),
            PeerLostError,
            r"did not meet the other ranks .*\(run-0, 23456\)\).*NetworkPolicy",
            id="no-master",
        ),
        pytest.param(
            DistStoreError("Timed out after 901 seconds waiting for clients. 1/2 clients joined."),
            PeerLostError,
            "1/2 clients joined",
            id="nobody-came",
        ),
        pytest.param(
            DistBackendError(
                "NCCL error in: ../torch/csrc/distributed/c10d/ProcessGroupNCCL.cpp:1691, remote process exited or "
                "there was a network error, NCCL version 2.19.3\nncclRemoteError: A call failed possibly due to a "
                "network error or a remote process exiting prematurely."
            ),
            PeerLostError,
            "ncclRemoteError",
            id="nccl",
        ),
        pytest.param(
            RuntimeError(f"{GLOO}pair.cc:561] Connection closed by peer [127.0.0.1]:939. {CAUSED}"),
            PeerLostError,
            r"\(Connection closed by peer \[127.0.0.1\]:939\)",
            id="gloo-killed",
        ),
        pytest.param(
            RuntimeError(
                f"{GLOO}unbound_buffer.cc:78] Timed out waiting 600000ms for recv operation to complete"
            ),
            PeerLostError,
            "Timed out waiting 600000ms",
            id="gloo-hangs",
        ),
    ],
)
def test_what_the_world_did_is_told_with_its_remedy(error: Exception, kind: type, words: str) -> None:
    found = explained(error, FIRST)
    assert type(found) is kind
    assert re.search(words, str(found))
    assert "CUDA_LAUNCH_BLOCKING" not in str(found)
    assert "GLHF" not in str(found)


def test_memory_that_sufficed_before_may_suffice_again() -> None:
    found = explained(OutOfMemoryError(OUT_OF_MEMORY.format(others="", mine="77.73")), LATER)
    assert type(found) is TransientError
    assert "after 12 steps that fitted" in str(found)


def test_a_rank_that_trained_already_lost_the_others() -> None:
    error = DistNetworkError("Connection was likely closed. Did the remote server shutdown or crash?")
    assert "rank 3 on gpu-7 lost the other ranks" in str(explained(error, LATER))
    assert "did not meet" in str(explained(error, FIRST))


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(KeyError("loss"), id="a-key"),
        pytest.param(RuntimeError("CUDA error: device-side assert triggered"), id="an-index-of-ours"),
        pytest.param(
            RuntimeError("CUDA error: an illegal memory access was encountered"), id="an-address-of-ours"
        ),
        pytest.param(RuntimeError("mat1 and mat2 shapes cannot be multiplied (3x4 and 5x6)"), id="shapes"),
        pytest.param(ConnectionResetError(104, "Connection reset by peer"), id="not-of-the-ranks"),
        pytest.param(OSError(28, "No space left on device", "/data/checkpoints"), id="a-disk"),
    ],
)
def test_what_is_not_known_stays_as_it_is(error: Exception) -> None:
    assert explained(error, FIRST) is error
    with pytest.raises(type(error)) as raised, faults.explaining(lambda: FIRST):
        raise error
    assert raised.value is error
    assert raised.value.__cause__ is None


def test_what_says_it_already_stays_and_is_found_below_a_library() -> None:
    told = ArtifactError("shard 3 is torn")
    assert explained(told, FIRST) is told
    wrapped = RuntimeError("the loader failed")
    wrapped.__cause__ = told
    assert explained(wrapped, FIRST) is told
    wrapped.__cause__ = RuntimeError("CUDA error: uncorrectable ECC error encountered")
    assert type(explained(wrapped, FIRST)) is TransientError


@given(st.lists(st.sampled_from([UserError, TransientError, PeerLostError, KeyError]), min_size=1))
def test_the_one_that_explains_most_comes_first(kinds: list[type[Exception]]) -> None:
    said = [errors.document_of(kind("x")) for kind in kinds]
    first = min(said, key=faults.order_of)
    wanted = next(kind for kind in (UserError, TransientError, KeyError, PeerLostError) if kind in kinds)
    assert first["kind"] == wanted.__name__


@given(st.text(max_size=2000))
def test_any_text_is_read(text: str) -> None:
    found = explained(RuntimeError(text), LATER)
    assert len(str(found)) <= max(len(text), 3 * faults.SHOWN_CHARACTERS)
