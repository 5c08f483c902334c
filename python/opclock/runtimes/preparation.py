"""Writes the files of a job: weights, and by batch inputs with eager PyTorch's answers to them."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from opclock.errors import ModelError
from opclock.files import write_whole
from opclock.runtimes.job import SEED, SIGNAL, Job, build, flattened

if TYPE_CHECKING:
    import torch

NORM_IMAGES = 4  # that give batch norms their statistics: maps of one pixel vary over images alone
MIN_SPREAD = 0.1  # of the channels' mean variance: norms that blow up quiet channels blow up rounding, too
RANDOM_WEIGHTS = ("zoo", "torchvision")  # where no weights are given, these have random ones


def prepare(job: Job, batches: Sequence[int]) -> None:
    """Write weights, inputs of each batch, and eager PyTorch's answers to them, into the job's folder.

    Random weights are made to carry signals as trained ones do: batch norm takes its statistics from a few images. With
    the statistics that modules start with, a deep model's answer hardly depends on its image, and a wrong one would
    pass for right.

    Args:
        job: of any batch.
        batches: the sizes of the first dimension of every input.

    Raises:
        ModelError: the model cannot be loaded, or takes more than tensors with a batch.
    """
    import torch

    loaded = build(job)
    names = list(loaded.inputs) if isinstance(loaded.inputs, dict) else None
    inputs = list(loaded.inputs.values()) if isinstance(loaded.inputs, dict) else list(loaded.inputs)
    if not all(isinstance(tensor, torch.Tensor) and tensor.ndim for tensor in inputs):
        raise ModelError(f"{job.model} takes more than tensors: give runtimes a factory whose inputs are tensors alone")
    module = flattened(loaded.module, names)
    job.folder.mkdir(parents=True, exist_ok=True)
    with torch.inference_mode():
        if job.weights is None and job.model.partition(":")[0] in RANDOM_WEIGHTS:
            _settle_norms(module, [resized(tensor, NORM_IMAGES) for tensor in inputs])
        torch.save(loaded.module.state_dict(), job.folder / "weights.pt")
        write_whole(job.folder / "inputs.json", json.dumps(names).encode())
        write_whole(job.folder / "digest", _digest(loaded.module, inputs).encode())
        first = module(*inputs)
        other = module(*(resized(tensor, len(tensor), seed=1) for tensor in inputs))
        signal_rms = [_rms(one - another) for one, another in zip(first, other, strict=True)]
        write_whole(job.folder / SIGNAL, json.dumps(signal_rms).encode())
        for batch in batches:
            _write_batch(job.at(batch), module, inputs)


def _write_batch(job: Job, module: torch.nn.Module, inputs: Sequence[torch.Tensor]) -> None:
    job.batch_folder.mkdir(parents=True, exist_ok=True)
    own_inputs = list(inputs) if job.batch == len(inputs[0]) else [resized(tensor, job.batch) for tensor in inputs]
    answers = [answer.float().numpy() for answer in module(*own_inputs)]
    np.savez(job.batch_folder / "inputs.npz", *[tensor.numpy() for tensor in own_inputs])
    np.savez(job.batch_folder / "answers.npz", *answers)


def _digest(module: torch.nn.Module, inputs: Sequence[torch.Tensor]) -> str:
    import torch

    digest = hashlib.sha256(repr([(tuple(tensor.shape[1:]), tensor.dtype) for tensor in inputs]).encode())
    for name, tensor in module.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _rms(tensor: torch.Tensor) -> float:
    return math.sqrt(float(tensor.float().square().mean()))


def resized(tensor: torch.Tensor, batch: int, *, seed: int = 0) -> torch.Tensor:
    """Inputs of the same kind at another batch.

    Args:
        tensor: batch first.
        batch: the first dimension of the result.
        seed: another gives other numbers.

    Returns:
        Noise; whole numbers, which may be indices, are the first item repeated, rolled by the seed.
    """
    import torch

    shape = (batch, *tensor.shape[1:])
    if not tensor.is_floating_point():
        repeated = tensor[:1].expand(shape).contiguous()
        return repeated.roll(seed, -1)
    return torch.randn(shape, generator=torch.Generator().manual_seed(SEED + 1 + seed + batch))


def _settle_norms(module: torch.nn.Module, inputs: Sequence[torch.Tensor]) -> None:
    """Give each batch norm the mean and variance of what reaches it."""
    import torch

    def settle(norm: torch.nn.Module, arguments: tuple[torch.Tensor, ...]) -> None:
        assert isinstance(norm, torch.nn.BatchNorm2d)
        if norm.running_mean is None or norm.running_var is None:
            return
        source = arguments[0].float()
        spread = source.var((0, 2, 3), correction=0)
        norm.running_mean.copy_(source.mean((0, 2, 3)))
        norm.running_var.copy_(spread.clamp_min(float(spread.mean()) * MIN_SPREAD))

    norms = [norm for norm in module.modules() if isinstance(norm, torch.nn.BatchNorm2d)]
    handles = [norm.register_forward_pre_hook(settle) for norm in norms]
    module(*inputs)
    for handle in handles:
        handle.remove()
