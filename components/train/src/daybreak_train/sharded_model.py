"""A model whose weights, gradients and moments lie in parts over the processes (FSDP2).

Owns how the model is cut and how a part becomes a plain tensor and back. Who is sharded is decided in
``daybreak_contracts.planning.sharding``; files are not its business.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import (
    FSDPModule,
    MixedPrecisionPolicy,
    fully_shard,
    register_fsdp_forward_method,
)
from torch.distributed.tensor import DTensor

from daybreak_contracts.planning import sharding
from daybreak_train.checkpoints.parts import Part, rows_of
from daybreak_train.checkpoints.peers import PartHolders, ProcessPeers
from daybreak_train.model import Llama, ModelConfig, initialise, rotary_buffers
from daybreak_train.pod.environment import ProcessPlacement

TINY_NORM = 1e-6
"""Added to a norm that is divided by, as torch's own clipping does."""


def sharded_llama(config: ModelConfig, seed: int, device: torch.device, part: Part) -> Llama:
    """Return this process's part of a new model; no process ever holds all weights.

    Weights are those of the unsharded model with the same seed. Blocks are gathered one at a time, embedding and last
    norm for the whole step. Every micro-batch sends its gradients: kept until the last one they would be whole.
    """
    with torch.device("meta"):
        llama = Llama(config)
    mesh = init_device_mesh(device.type, (part.count,))
    # On a GPU layers are gathered in bf16, in which they multiply anyhow; sums over processes stay in fp32.
    narrow = MixedPrecisionPolicy(torch.bfloat16, torch.float32, cast_forward_inputs=False)
    policy = narrow if device.type == "cuda" else MixedPrecisionPolicy()
    for layer in llama.layers:
        fully_shard(layer, mesh=mesh, mp_policy=policy)
    fully_shard(llama, mesh=mesh)
    register_fsdp_forward_method(llama, "loss_sum")
    llama.to_empty(device=device)
    llama.cos, llama.sin = (table.to(device) for table in rotary_buffers(config))

    initialise(llama, seed, functools.partial(put, is_cut=False))
    return llama


def is_sharded(model: nn.Module) -> bool:
    """Tell whether a model lies in parts."""
    return isinstance(model, FSDPModule)


def rest(model: nn.Module) -> None:
    """Let go of what the last forward pass gathered: parameters are parts again."""
    if isinstance(model, FSDPModule):
        model.reshard()


def local(tensor: Tensor) -> Tensor:
    """Return this process's rows; a plain tensor is its own."""
    return tensor.to_local().detach() if isinstance(tensor, DTensor) else tensor.detach()


def put(tensor: Tensor, values: Tensor, *, is_cut: bool) -> None:
    """Write values into a tensor; of whole values a tensor in parts takes its rows."""
    local(tensor).copy_(values if is_cut else _mine(tensor, values))


def like(parameter: Tensor, values: Tensor, *, is_cut: bool) -> Tensor:
    """Return optimizer state for a parameter, in parts as the parameter is; a scalar stays one."""
    if values.ndim == 0 or not isinstance(parameter, DTensor):
        return values.to(parameter.device, copy=True)
    state = torch.zeros_like(parameter, dtype=values.dtype, requires_grad=False)
    put(state, values, is_cut=is_cut)
    return state


def _mine(tensor: Tensor, values: Tensor) -> Tensor:
    if not isinstance(tensor, DTensor):
        return values
    mesh = tensor.device_mesh
    first, end = rows_of(values.shape[0], Part(mesh.get_local_rank(), mesh.size()))
    return values[first:end]


def whole(tensor: Tensor) -> Tensor:
    """Return all rows; every process must ask at the same time."""
    return tensor.full_tensor().detach() if isinstance(tensor, DTensor) else tensor.detach()


def totals(tensors: Mapping[str, Tensor]) -> dict[str, int]:
    """Return the rows that a cut tensor has over all processes."""
    return {name: tensor.shape[0] for name, tensor in tensors.items() if isinstance(tensor, DTensor)}


def clip(model: nn.Module, most: float) -> Tensor:
    """Clip the gradients to a norm over all processes; return the norm before.

    Squares are added in fp64 and the root is rounded once: the parts' norm is then the whole's to the last bit. Added
    in fp32 the two differ by some 5e-7, which every update takes up and training multiplies.
    """
    gradients = [weight.grad for weight in model.parameters() if weight.grad is not None]
    mine = [local(gradient) for gradient in gradients]
    squares = torch.stack(torch._foreach_norm(mine, 2, dtype=torch.float64)).square().sum()
    if isinstance(gradients[0], DTensor):
        dist.all_reduce(squares, group=gradients[0].device_mesh.get_group())
    norm = squares.sqrt().float()
    torch._foreach_mul_(mine, (most / (norm + TINY_NORM)).clamp(max=1.0))
    return norm


def whole_weights(model: nn.Module, keep: bool) -> dict[str, Tensor]:
    """Return all weights in main memory, gathered one by one; a process that does not keep them gets none."""
    rest(model)
    return dict(_kept(model, keep))


def _kept(model: nn.Module, keep: bool) -> Iterator[tuple[str, Tensor]]:
    for name, value in model.state_dict().items():
        gathered = whole(value)
        if keep:
            yield name, gathered.cpu().contiguous()


def peers_of(
    parameters: int, placement: ProcessPlacement, device: torch.device, shard_from: int
) -> PartHolders | None:
    """Return the processes that hold parts of the state; None when every one holds all of it."""
    memory = None
    if device.type == "cuda":
        torch.cuda.set_device(device)
        memory = torch.cuda.get_device_properties(device).total_memory
    if not sharding.is_sharded(parameters, placement.world_size, memory, shard_from):
        return None
    return ProcessPeers(Part(placement.rank, placement.world_size))
