"""Writes the files of a job: weights, and for each batch the inputs and eager PyTorch's answers."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from opclock.errors import ModelError
from opclock.files import write_json, write_whole
from opclock.runtimes.job import SEED, SIGNAL, Job, build, flattened

if TYPE_CHECKING:
    import torch

NORM_IMAGES = 4  # images for the statistics of batch norms: maps with one pixel vary only between images
MIN_SPREAD = 0.1  # smallest variance, of the channels' mean: norms that amplify weak channels amplify rounding, too
RANDOM_WEIGHTS = ("zoo", "torchvision")  # their models have random weights unless weights are given


def prepare(job: Job, batches: Sequence[int]) -> None:
    """Write weights, inputs of each batch, and eager PyTorch's answers to them, into the job's folder.

    With random weights, batch norms first get their statistics from a few images. With the initial statistics, the
    answer of a deep model hardly depends on its input, so a wrong answer would not be noticed.

    Args:
        job: the model, at any batch.
        batches: sizes of the first dimension of all inputs.

    Raises:
        ModelError: the model cannot be loaded, or takes inputs other than tensors with a batch.
    """
    import torch

    loaded = build(job)
    names = list(loaded.inputs) if isinstance(loaded.inputs, dict) else None
    inputs = list(loaded.inputs.values()) if isinstance(loaded.inputs, dict) else list(loaded.inputs)
    if not all(isinstance(tensor, torch.Tensor) and tensor.ndim for tensor in inputs):
        raise ModelError(f"{job.model} takes inputs other than tensors: give a factory whose inputs are all tensors")
    module = flattened(loaded.module, names)
    job.folder.mkdir(parents=True, exist_ok=True)
    with torch.inference_mode():
        if job.weights is None and job.model.partition(":")[0] in RANDOM_WEIGHTS:
            _settle_norms(module, [resized(tensor, NORM_IMAGES) for tensor in inputs])
        torch.save(loaded.module.state_dict(), job.folder / "weights.pt")
        write_json(job.folder / "inputs.json", names)
        write_whole(job.folder / "digest", _digest(loaded.module, inputs).encode())
        first = module(*inputs)
        other = module(*(resized(tensor, len(tensor), seed=1) for tensor in inputs))
        signal_rms = [_rms(one - another) for one, another in zip(first, other, strict=True)]
        write_json(job.folder / SIGNAL, signal_rms)
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
    """Make an input like this one at another batch.

    Args:
        tensor: the input, batch first.
        batch: the first dimension of the result.
        seed: for random numbers.

    Returns:
        Random numbers. Integers, which may be indices, are the first item repeated and rolled by the seed.
    """
    import torch

    shape = (batch, *tensor.shape[1:])
    if not tensor.is_floating_point():
        repeated = tensor[:1].expand(shape).contiguous()
        return repeated.roll(seed, -1)
    return torch.randn(shape, generator=torch.Generator().manual_seed(SEED + 1 + seed + batch))


def _settle_norms(module: torch.nn.Module, inputs: Sequence[torch.Tensor]) -> None:
    """Set each batch norm's statistics to the mean and variance of its input."""
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
