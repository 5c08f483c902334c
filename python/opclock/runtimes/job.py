"""A job: the files of one model at one batch. All child processes get the same weights and inputs from them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from opclock.runtimes.batching import SEED, Batching
from opclock.runtimes.nesting import flattened

if TYPE_CHECKING:
    import torch

    from opclock.models.loading import Model

Array = npt.NDArray[Any]
SIGNAL = "signal.json"  # see Job.signal_rms
BATCHING = "batch.json"  # see Job.batching


@dataclass(frozen=True)
class Job:
    """One model at one batch, and the folder of its files. ``runtimes.preparation`` writes them."""

    folder: Path
    model: str
    input_text: str | None = None
    weights: str | None = None
    batch: int = 1
    batch_dim: int | None = None  # of the inputs, if the user names it; else it is found by running the model
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
        """The input tensors as arrays, in the order of the model's arguments, nested ones in their places."""
        return _read(self.batch_folder / "inputs.npz")

    def expected(self) -> list[Array]:
        """Eager PyTorch's answers to the inputs, in float32; integers and booleans as they are."""
        return _read(self.batch_folder / "answers.npz")

    def signal_rms(self) -> list[float]:
        """By output, the root mean square by which it differs from one random input to another."""
        signal_rms: list[float] = json.loads((self.folder / SIGNAL).read_text(encoding="utf-8"))
        return signal_rms

    def batching(self) -> Batching:
        """Where the batch is in the inputs."""
        return Batching.from_json((self.folder / BATCHING).read_text(encoding="utf-8"))

    def digest(self) -> str:
        """A digest of the model: weights, code, inputs. Artefacts with another digest are out of date."""
        return (self.folder / "digest").read_text(encoding="utf-8")

    def module(self) -> torch.nn.Module:
        """The model with the job's weights, with positional inputs and a flat tuple of outputs."""
        import torch

        model = build(self)
        model.module.load_state_dict(torch.load(self.folder / "weights.pt", map_location="cpu", weights_only=True))
        return flattened(model.module, model.inputs)

    def example(self) -> tuple[torch.Tensor, ...]:
        """The inputs as tensors."""
        import torch

        return tuple(torch.from_numpy(array) for array in self.inputs())


def build(job: Job) -> Model:
    """Load the job's model with ``load_model``, always with the same random weights. Raises as ``load_model``."""
    import torch

    from opclock.models.loading import load_model

    torch.manual_seed(SEED)
    weights = Path(job.weights) if job.weights else None
    return load_model(job.model, input_text=job.input_text, dtype="float32", weights=weights)


def _read(path: Path) -> list[Array]:
    with np.load(path, allow_pickle=False) as stored:
        return [stored[f"arr_{number}"] for number in range(len(stored.files))]
