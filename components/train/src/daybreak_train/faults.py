"""Who can mend what ends a training: what CUDA, NCCL, gloo, torchrun and the system say, in our error tree. Pure.

Owns the wording and the table of what is known; whatever stands in none of its rows stays a bug, with its traceback.
The texts are torch's (``c10/cuda/CUDACachingAllocator.cpp``, ``c10d``'s stores and backends), CUDA's
(``cudaGetErrorString``), NCCL's (``ncclGetErrorString`` and "Last error") and gloo's, as public reports quote them;
their spelling changes between releases, so a row looks for the few words that all of them have.
"""

from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from daybreak_contracts import errors
from daybreak_contracts.errors import DaybreakError, TransientError, UserError

GO_ON = "run again to go on from the last checkpoint"
SHOWN_CHARACTERS = 400
NUM_CAUSES = 8
TRIED = re.compile(r"Tried to allocate ([\d.]+ [KMGT]?i?B|[\d.]+ bytes)")
CAPACITY = re.compile(r"total capac\w+ of ([\d.]+ [KMGT]?i?B)|([\d.]+ [KMGT]?i?B) total capacity")
"""torch wrote "capacty" for two years."""
HINTS = re.compile(
    r"(CUDA kernel errors might|For debugging consider|Compile with|Exception raised|frame #|C\+\+ Captured)"
)
DEVELOPERS = re.compile(r"^\[\S+\.cc:\d+\] |This is typically caused by .*")
SOMEBODY_ELSE = re.compile(r"Process \d+ has ([\d.]+ [KMGT]?i?B) memory in use")


class PeerLostError(TransientError):
    """Another rank is gone or silent: this one's end follows from it, so whatever that one says explains more."""


ORDER = {errors.EXIT_USER: 0, errors.EXIT_TRANSIENT: 1}
"""Which error explains more, by exit code: the user's fault, then the world's, then a bug."""
BUG, FOLLOWS = 2, 3


def order_of(failure: Mapping[str, Any]) -> int:
    """Return the place of a failure (`errors.document_of`) among those of a group: what explains most comes first."""
    if failure.get("kind") == PeerLostError.__name__:
        return FOLLOWS
    return ORDER.get(int(failure["exitCode"]), BUG)


@dataclass(frozen=True)
class FaultScene:
    """Where and when it happened."""

    process: str
    """``rank 3``, or what else it is."""
    host: str
    num_steps: int
    """Steps that this process did before: what fits for one mostly fits for the next."""

    @property
    def who(self) -> str:
        """The process, as a person finds it."""
        return f"{self.process} on {self.host}"


Explanation = Callable[[str, FaultScene], DaybreakError]


def explained(error: Exception, scene: FaultScene) -> Exception:
    """Return what to raise instead: an error that says who can mend it, or the same one where that is not known.

    >>> scene = FaultScene("rank 3", host="gpu-7", num_steps=12)
    >>> type(explained(RuntimeError("CUDA error: uncorrectable ECC error encountered"), scene)).__name__
    'TransientError'
    """
    if isinstance(error, DaybreakError):
        return error
    for cause in _causes(error):
        if isinstance(cause, DaybreakError):
            return cause
        text = f"{type(cause).__name__}: {cause}"
        for pattern, explanation in RULES:
            if pattern.search(text):
                return explanation(_shown(str(cause)), scene)
    return error


@contextlib.contextmanager
def explaining(scene: Callable[[], FaultScene]) -> Iterator[None]:
    """Let what is raised inside say who can mend it; the scene is asked for only then."""
    try:
        yield
    except Exception as error:
        found = explained(error, scene())
        if found is error:
            raise
        raise found from error


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what it came from; libraries wrap what CUDA says."""
    found: BaseException | None = error
    for _ in range(NUM_CAUSES):
        if found is None:
            return
        yield found
        found = found.__cause__ or (None if found.__suppress_context__ else found.__context__)


def _shown(text: str) -> str:
    """Return what is said of the cause: hints for CUDA's and gloo's developers, places and frames of C++ are not."""
    lines = (line.strip() for line in text.splitlines())
    said = " ".join(line for line in itertools.takewhile(lambda line: not HINTS.match(line), lines) if line)
    shown = DEVELOPERS.sub("", said).strip().rstrip(".")
    return (shown or text.strip())[:SHOWN_CHARACTERS]


def _gpu_memory(text: str, scene: FaultScene) -> DaybreakError:
    other = SOMEBODY_ELSE.search(text)
    if other:
        return TransientError(
            f"the GPU of {scene.who} has no memory left: another process holds {other[1]} of it; end that one "
            f"(nvidia-smi names it), {GO_ON}"
        )
    tried, capacity = TRIED.search(text), CAPACITY.search(text)
    if tried is None:  # the context itself found no room: nothing of ours lies there yet
        return TransientError(
            f"the GPU of {scene.who} has no memory left ({text}): another process holds it, most likely; look with "
            f"nvidia-smi, {GO_ON}"
        )
    size = f" of {capacity[1] or capacity[2]}" if capacity else ""
    words = f"{scene.who}: its GPU{size} has too little memory, {tried[1]} more was needed"
    if scene.num_steps:
        return TransientError(f"{words} after {scene.num_steps} steps that fitted; {GO_ON}")
    return UserError(
        f"{words} in the first step: use more GPUs (large models are shared among them) or larger ones, or lower "
        "training.contextLength or model.size; `daybreak plan` says what each GPU needs"
    )


def _others(text: str, scene: FaultScene) -> DaybreakError:
    if scene.num_steps:
        return PeerLostError(
            f"{scene.who} lost the other ranks ({text}): one of them ended or hangs, or the network between them "
            f"failed; {GO_ON}"
        )
    return PeerLostError(
        f"{scene.who} did not meet the other ranks ({text}): one of them is missing or ended first, its name is not "
        f"resolved, or a NetworkPolicy closes the port; {GO_ON}"
    )


def _always(kind: type[DaybreakError], sentence: str) -> Explanation:
    """Return what says the same wherever it happens; what passes is tried again."""
    end = f"; {GO_ON}" if issubclass(kind, TransientError) else ""
    return lambda text, scene: kind(sentence.format(who=scene.who, text=text) + end)


MEMORY_OF_GPU = r"(CUDA|HIP) (error: )?out of memory|Cuda failure\S* 'out of memory'|_STATUS_ALLOC_FAILED"
MEMORY_SHARED = (
    r"(?s)/dev/shm.*No space left|No space left.*/dev/shm|(Error while|unable to) \w+ shared memory"
)
MEMORY_OF_HOST = r"^MemoryError|can't allocate memory|[Cc]annot allocate memory|std::bad_alloc"
HARDWARE = (
    r"(?i)uncorrectable (ECC|NVLink)|ECC error|hardware (stack )?error|(GPU|device) (is lost|has fallen off)"
    r"|(CUDA|HIP) error: un(specified launch failure|known error)"
)
NOT_READY = r"(?i)system not yet initialized|busy or unavailable"
DRIVER = (
    r"(?i)driver on your system is too old|driver version is insufficient|no kernel image is available"
    r"|forward compatibility was attempted|system has unsupported display driver"
)
NO_GPU = (
    r"(?i)invalid device ordinal|no CUDA-capable device|No CUDA GPUs are|Found no NVIDIA driver|Duplicate GPU"
)
PROCESSES = r"can't start new thread|^BlockingIOError"
PORT_TAKEN = r"EADDRINUSE|Address already in use"
OTHERS = (
    r"Dist(Network|Store|Backend)Error|Rendezvous\w*Error|NCCL (error|communicator)|collective operation timeout"
    r"|third_party/gloo/|connectFullMesh"
)
RULES: tuple[tuple[re.Pattern[str], Explanation], ...] = tuple(
    (re.compile(pattern), explanation)
    for pattern, explanation in (
        (MEMORY_OF_GPU, _gpu_memory),
        (
            MEMORY_SHARED,
            _always(
                UserError,
                "{who}: /dev/shm is too small ({text}): give the container more (docker run --shm-size=8g, in a pod an "
                "emptyDir of medium Memory at /dev/shm)",
            ),
        ),
        (
            MEMORY_OF_HOST,
            _always(TransientError, "{who}: out of memory ({text}): give the machine or the pod more memory"),
        ),
        (
            HARDWARE,
            _always(
                TransientError,
                "the GPU of {who} is faulty ({text}): nvidia-smi -q and the kernel's log (Xid) say more; if it comes "
                "again take the node out (kubectl cordon) and have it reset",
            ),
        ),
        (
            NOT_READY,
            _always(
                TransientError,
                "the GPU of {who} cannot be used now ({text}): NVIDIA's fabric manager does not run on the node, the "
                "GPU is in exclusive use, or its MIG mode was changed",
            ),
        ),
        (
            DRIVER,
            _always(
                UserError,
                "{who}: driver, GPU and this build of torch do not fit together ({text}): use a newer driver on the "
                "node, or an image with a torch that was built for this GPU",
            ),
        ),
        (
            NO_GPU,
            _always(
                UserError,
                "{who}: there is no GPU for this process ({text}): training.gpusPerNode is more than the machine or "
                "the container shows (nvidia-smi -L, CUDA_VISIBLE_DEVICES)",
            ),
        ),
        (
            PROCESSES,
            _always(
                UserError,
                "{who}: no more threads or processes may be started ({text}): raise the limit (ulimit -u, the "
                "container's pids limit)",
            ),
        ),
        (
            PORT_TAKEN,
            _always(
                TransientError,
                "{who}: the port at which ranks meet is taken ({text}): another training runs there",
            ),
        ),
        (OTHERS, _others),
    )
)
"""In this order: what names its own cause comes before what only says that others are gone."""
