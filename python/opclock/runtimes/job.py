"""One model at one batch, in files, so that every runtime's child process sees the same weights and images."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from opclock.errors import ModelError
from opclock.files import write_whole

if TYPE_CHECKING:
    import torch

Array = npt.NDArray[Any]
SEED = 0
SETTLING = 4  # images: maps of one pixel vary over images alone
MIN_SPREAD = 0.1  # of the channels' mean variance: norms that blow up quiet channels blow up rounding, too
RANDOM_WEIGHTS = ("zoo", "torchvision")  # where no weights are given, these have random ones


@dataclass(frozen=True)
class Job:
    """Where a model's files lie, and what it was made from. `prepare` writes them."""

    folder: Path
    model: str
    input_text: str | None = None
    weights: str | None = None
    batch: int = 1
    runtime: str = ""
    shared: bool = False  # whether the runtime's artefacts serve every batch

    @property
    def batch_folder(self) -> Path:
        """Inputs and eager PyTorch's answers at this batch."""
        return self.folder / f"batch-{self.batch}"

    @property
    def artefacts(self) -> Path:
        """Where the runtime keeps what it converted."""
        return (self.folder if self.shared else self.batch_folder) / self.runtime

    def to_json(self) -> dict[str, Any]:
        """JSON-ready data."""
        return {**asdict(self), "folder": str(self.folder)}

    @staticmethod
    def from_json(data: dict[str, Any]) -> Job:
        """The inverse of to_json."""
        return Job(**{**data, "folder": Path(data["folder"])})

    def at(self, batch: int) -> Job:
        """The same model at another batch."""
        return replace(self, batch=batch)

    def inputs(self) -> list[Array]:
        """Batch first, in the order of the model's arguments."""
        return _read(self.batch_folder / "inputs.npz")

    def expected(self) -> list[Array]:
        """Eager PyTorch's answers to the inputs, in float32."""
        return _read(self.batch_folder / "answers.npz")

    def moved(self) -> list[float]:
        """By output, how far (root mean square) it moves from one random input to another: the signal in it."""
        found: list[float] = json.loads((self.folder / "moved.json").read_text(encoding="utf-8"))
        return found

    def digest(self) -> str:
        """Of weights and input shapes: what was converted from others is stale."""
        return (self.folder / "digest").read_text(encoding="utf-8")

    def module(self) -> torch.nn.Module:
        """The model with the job's weights, its inputs in a row and its outputs a flat tuple."""
        import torch

        module = _build(self).module
        module.load_state_dict(torch.load(self.folder / "weights.pt", map_location="cpu", weights_only=True))
        return flattened(module, self._input_names())

    def example(self) -> tuple[torch.Tensor, ...]:
        """The inputs as tensors."""
        import torch

        return tuple(torch.from_numpy(array) for array in self.inputs())

    def _input_names(self) -> list[str] | None:
        names: list[str] | None = json.loads((self.folder / "inputs.json").read_text(encoding="utf-8"))
        return names


def _build(job: Job) -> Any:  # noqa: ANN401
    import torch

    from opclock.models.loading import load_model

    torch.manual_seed(SEED)
    weights = Path(job.weights) if job.weights else None
    return load_model(job.model, input_text=job.input_text, weights=weights)


def flattened(module: torch.nn.Module, names: list[str] | None) -> torch.nn.Module:
    """The module as a converter wants it: tensors in, by position, and a tuple of tensors out."""
    import torch
    from torch.utils import _pytree as pytree

    class Flat(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = module

        def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
            output = self.model(*tensors) if names is None else self.model(**dict(zip(names, tensors, strict=True)))
            return tuple(leaf for leaf in pytree.tree_leaves(output) if isinstance(leaf, torch.Tensor))

    return Flat().eval()


def prepare(job: Job, batches: Sequence[int]) -> None:
    """Write weights, inputs of each batch, and eager PyTorch's answers to them.

    Random weights are made to carry signals as trained ones do: batch norm takes its statistics from a few images. With
    the statistics that modules start with, a deep model's answer hardly depends on its image, and a wrong one would
    pass for right.

    Raises ModelError where the model does, or where its inputs have no common first dimension.
    """
    import torch

    loaded = _build(job)
    names = list(loaded.inputs) if isinstance(loaded.inputs, dict) else None
    inputs = list(loaded.inputs.values()) if isinstance(loaded.inputs, dict) else list(loaded.inputs)
    if not all(isinstance(tensor, torch.Tensor) and tensor.ndim for tensor in inputs):
        raise ModelError(f"{job.model} takes more than tensors: give runtimes a factory whose inputs are tensors alone")
    module = flattened(loaded.module, names)
    job.folder.mkdir(parents=True, exist_ok=True)
    with torch.inference_mode():
        if job.weights is None and job.model.partition(":")[0] in RANDOM_WEIGHTS:
            _settle_norms(module, [resized(tensor, SETTLING) for tensor in inputs])
        torch.save(loaded.module.state_dict(), job.folder / "weights.pt")
        write_whole(job.folder / "inputs.json", json.dumps(names).encode())
        write_whole(job.folder / "digest", _digest(loaded.module, inputs).encode())
        first = module(*inputs)
        other = module(*(resized(tensor, len(tensor), seed=1) for tensor in inputs))
        moved = [_rms(one - another) for one, another in zip(first, other, strict=True)]
        write_whole(job.folder / "moved.json", json.dumps(moved).encode())
        for batch in batches:
            _write_batch(job.at(batch), module, inputs)


def _write_batch(job: Job, module: torch.nn.Module, inputs: Sequence[torch.Tensor]) -> None:
    job.batch_folder.mkdir(parents=True, exist_ok=True)
    mine = list(inputs) if job.batch == len(inputs[0]) else [resized(tensor, job.batch) for tensor in inputs]
    answers = [answer.float().numpy() for answer in module(*mine)]
    np.savez(job.batch_folder / "inputs.npz", *[tensor.numpy() for tensor in mine])
    np.savez(job.batch_folder / "answers.npz", *answers)


def _digest(module: torch.nn.Module, inputs: Sequence[torch.Tensor]) -> str:
    import torch

    found = hashlib.sha256(repr([(tuple(tensor.shape[1:]), tensor.dtype) for tensor in inputs]).encode())
    for name, tensor in module.state_dict().items():
        found.update(name.encode())
        found.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


def _read(path: Path) -> list[Array]:
    with np.load(path, allow_pickle=False) as stored:
        return [stored[f"arr_{number}"] for number in range(len(stored.files))]


def _rms(tensor: torch.Tensor) -> float:
    return math.sqrt(float(tensor.float().square().mean()))


def resized(tensor: torch.Tensor, batch: int, *, seed: int = 0) -> torch.Tensor:
    """Inputs of the same kind at another batch: noise; whole numbers are repeated, rolled for a seed."""
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
