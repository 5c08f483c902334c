"""Writes the files of a job: weights, and for each batch the inputs and eager PyTorch's answers."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from opclock.errors import ModelError, described, first_line
from opclock.files import write_whole
from opclock.models.names import KINDS
from opclock.runtimes.batching import Batching, find_batch
from opclock.runtimes.identity import digest_of
from opclock.runtimes.job import BATCHING, SIGNAL, Job, build
from opclock.runtimes.nesting import array_of, flattened, tensors_in

if TYPE_CHECKING:
    import torch

NORM_IMAGES = 4  # images for the statistics of batch norms: maps with one pixel vary only between images
MIN_SPREAD = 0.1  # smallest variance, of the channels' mean: norms that amplify weak channels amplify rounding, too


def prepare(job: Job, batches: Sequence[int]) -> Batching:
    """Write weights, inputs of each batch, and eager PyTorch's answers to them, into the job's folder.

    With random weights, batch norms first get their statistics from a few images. With the initial statistics, the
    answer of a deep model hardly depends on its input, so a wrong answer would not be noticed.

    Args:
        job: the model, at any batch.
        batches: sizes of the batch.

    Returns:
        Where the batch is.

    Raises:
        ModelError: the model cannot be loaded, returns no tensors, or cannot run at one of the batches.
        OptionError: no input has the job's batch dimension.
    """
    import torch

    loaded = build(job)
    inputs = tensors_in(loaded.inputs)
    module = flattened(loaded.module, loaded.inputs)
    job.folder.mkdir(parents=True, exist_ok=True)
    with torch.inference_mode():
        batching = find_batch(module, inputs, job.batch_dim)
        write_whole(job.folder / BATCHING, batching.to_json().encode())
        if job.weights is None and job.model.partition(":")[0] in KINDS:
            _settle_norms(module, batching.other(inputs, NORM_IMAGES))
        torch.save(loaded.module.state_dict(), job.folder / "weights.pt")
        write_whole(job.folder / "digest", digest_of(loaded.module, loaded.inputs, batching).encode())
        write_whole(job.folder / SIGNAL, json.dumps(_signal(job, module, inputs, batching)).encode())
        for batch in batches:
            _write_batch(job.at(batch), module, batching.resized(inputs, batch, model=job.model), batching)
    return batching


def learn_batch(job: Job) -> Batching:
    """Find the batch of the job's model, and write only that. Raises as ``prepare``."""
    import torch

    loaded = build(job)
    module, inputs = flattened(loaded.module, loaded.inputs), tensors_in(loaded.inputs)
    with torch.inference_mode():
        _run(job, module, inputs)
        batching = find_batch(module, inputs, job.batch_dim)
    write_whole(job.folder / BATCHING, batching.to_json().encode())
    return batching


def _write_batch(job: Job, module: torch.nn.Module, inputs: Sequence[torch.Tensor], batching: Batching) -> None:
    job.batch_folder.mkdir(parents=True, exist_ok=True)
    try:
        answers = module(*inputs)
    except Exception as error:
        hint = f" ({batching.note})" if batching.note else ""
        raise ModelError(
            f"{job.model} does not run at batch {job.batch} in eager PyTorch: {type(error).__name__}: "
            f"{first_line(error)}{hint}"
        ) from error
    if not answers:
        raise ModelError(f"{job.model} returns no tensors: there is nothing to compare between runtimes")
    np.savez(job.batch_folder / "inputs.npz", *[array_of(tensor) for tensor in inputs])
    np.savez(job.batch_folder / "answers.npz", *[array_of(answer) for answer in answers])


def _signal(job: Job, module: torch.nn.Module, inputs: Sequence[torch.Tensor], batching: Batching) -> list[float]:
    """By output, the root mean square by which it differs from one random input to another; 0 where that is unknown."""
    first = _run(job, module, inputs)
    try:
        other = module(*batching.other(inputs, seed=1))
    except Exception:  # such as indices that random changes make invalid
        return [0.0] * len(first)
    if len(other) != len(first):
        return [0.0] * len(first)
    return [_difference(array_of(one), array_of(another)) for one, another in zip(first, other, strict=True)]


def _run(job: Job, module: torch.nn.Module, inputs: Sequence[torch.Tensor]) -> tuple[torch.Tensor, ...]:
    """The model's outputs on its own inputs. Raises ModelError where it does not run."""
    try:
        outputs: tuple[torch.Tensor, ...] = module(*inputs)
    except Exception as error:
        raise ModelError(f"{job.model} does not run in eager PyTorch: {described(error)}") from error
    return outputs


def _difference(one: np.ndarray, other: np.ndarray) -> float:
    """The root mean square of the finite differences; 0 for integers and for shapes that differ."""
    if one.dtype.kind in "biu" or one.shape != other.shape:
        return 0.0
    finite = np.isfinite(one) & np.isfinite(other)
    if not finite.any():
        return 0.0
    difference = np.abs(one[finite].astype(np.result_type(one, np.float64)) - other[finite])
    return math.sqrt(float(np.mean(np.square(difference))))


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
