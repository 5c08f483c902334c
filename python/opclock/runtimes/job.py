"""A job: the files of one model at one batch. All child processes get the same weights and inputs from them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch

    from opclock.models.loading import Model

Array = npt.NDArray[Any]
SEED = 0
SIGNAL = "signal.json"  # see Job.signal_rms


@dataclass(frozen=True)
class Job:
    """One model at one batch, and the folder of its files. ``runtimes.preparation`` writes them."""

    folder: Path
    model: str
    input_text: str | None = None
    weights: str | None = None
    batch: int = 1
    runtime: str = ""
    shared: bool = False  # whether the runtime's artefacts serve every batch

    @property
    def batch_folder(self) -> Path:
        """The folder of the inputs and eager PyTorch's answers at this batch."""
        return self.folder / f"batch-{self.batch}"

    @property
    def artefacts(self) -> Path:
        """The folder of the runtime's converted model."""
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
        """The inputs, batch first, in the order of the model's arguments."""
        return _read(self.batch_folder / "inputs.npz")

    def expected(self) -> list[Array]:
        """Eager PyTorch's answers to the inputs, in float32."""
        return _read(self.batch_folder / "answers.npz")

    def signal_rms(self) -> list[float]:
        """By output, the root mean square by which it differs from one random input to another."""
        signal_rms: list[float] = json.loads((self.folder / SIGNAL).read_text(encoding="utf-8"))
        return signal_rms

    def digest(self) -> str:
        """A digest of weights and input shapes. Artefacts with another digest are out of date."""
        return (self.folder / "digest").read_text(encoding="utf-8")

    def module(self) -> torch.nn.Module:
        """The model with the job's weights, with positional inputs and a flat tuple of outputs."""
        import torch

        module = build(self).module
        module.load_state_dict(torch.load(self.folder / "weights.pt", map_location="cpu", weights_only=True))
        return flattened(module, self._input_names())

    def example(self) -> tuple[torch.Tensor, ...]:
        """The inputs as tensors."""
        import torch

        return tuple(torch.from_numpy(array) for array in self.inputs())

    def _input_names(self) -> list[str] | None:
        names: list[str] | None = json.loads((self.folder / "inputs.json").read_text(encoding="utf-8"))
        return names


def build(job: Job) -> Model:
    """Load the job's model with ``load_model``, always with the same random weights. Raises as ``load_model``."""
    import torch

    from opclock.models.loading import load_model

    torch.manual_seed(SEED)
    weights = Path(job.weights) if job.weights else None
    return load_model(job.model, input_text=job.input_text, weights=weights)


def flattened(module: torch.nn.Module, names: list[str] | None) -> torch.nn.Module:
    """Wrap a module for converters: it takes tensors by position and returns a tuple of tensors.

    Args:
        module: the module.
        names: its keyword arguments in the order of the tensors; None where it takes them by position.

    Returns:
        The wrapper.
    """
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


def _read(path: Path) -> list[Array]:
    with np.load(path, allow_pickle=False) as stored:
        return [stored[f"arr_{number}"] for number in range(len(stored.files))]
