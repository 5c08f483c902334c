"""Predicts the times of op calls without a measurement from what was learnt from a profile's sweeps. Needs no torch.

A model for each operator class learns, from ``features``, the logarithm of the measured time over the shortest time
that the ceilings allow, or over a fitted law. Far from the sweep's kernels a forest keeps the answer of the nearest
ones, and a Gaussian process returns to the law.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from opclock.errors import EstimateError
from opclock.formatting import counted
from opclock.prediction.ceilings import Ceilings
from opclock.prediction.class_model import ClassModel, Spread
from opclock.prediction.features import Features, features_of
from opclock.prediction.kept_models import KeptModels, keep, version_of
from opclock.prediction.surroundings import in_order
from opclock.prediction.training import ANY, MIN_ROWS, Training, training_pools, training_samples, training_state
from opclock.profiles.machine_state import MachineState
from opclock.profiles.reader import ProfileReader
from opclock.tracing.operator_classes import MAC_CLASSES
from opclock.tracing.trace import Trace, TracedCall


@dataclass(frozen=True)
class Prediction:
    """The time of one op call."""

    seconds: float
    operator_class: str
    spread: Spread


class Models(Protocol):
    """What was learnt, by kind of kernel."""

    @property
    def names(self) -> list[str]:
        """The kinds of kernels with a model of their own, and ANY where something is learnt for all others."""

    def model(self, name: str) -> ClassModel:
        """The model of one of ``names``."""


class Predictor:
    """Predicts op calls, each by the model of its kind.

    Attributes:
        state: of the machine, for which the predictions hold.
    """

    def __init__(self, models: Models, ceilings: Ceilings, state: MachineState | None = None) -> None:
        self._models = models
        self._ceilings = ceilings
        self.state = state or MachineState({})

    @staticmethod
    def read(profile: ProfileReader, threads: int, device: str = "cpu") -> Predictor:
        """Take what the profile keeps, or learn from its sweeps.

        What is learnt is kept in the profile where its file can be written, so that it is learnt only once.

        Args:
            profile: holds sweeps and ceilings.
            threads: the number of threads that both were measured with.
            device: the device that the sweeps were measured on.

        Returns:
            A predictor for this number of threads.

        Raises:
            EstimateError: the profile has no sweep or no ceilings with this number of threads.
        """
        ceilings = profile.remembered(("ceilings", threads), lambda: Ceilings.read(profile, threads))
        state = training_state(profile, threads, device)
        version = version_of(profile, device, threads, ceilings)
        kept = KeptModels(profile, device, threads, version)
        if kept.names:
            return Predictor(kept, ceilings, state)
        samples = training_samples(profile, threads, device, ceilings)
        if not samples:
            raise EstimateError(
                f"{profile.path} has no sweep with {threads} threads to learn from: run 'opclock sweep --preset board "
                f"--threads {threads}' with this profile on its board"
            )
        training = Training(samples)
        keep(profile, device, threads, version, training)
        return Predictor(training, ceilings, state)

    @property
    def kinds(self) -> list[str]:
        """The kinds of kernels with enough samples for their own model."""
        return [name for name in self._models.names if name != ANY]

    def spread(self, kind: str) -> Spread:
        """The error with which a kind of kernel is predicted."""
        return self._models.model(kind).spread

    def predict(
        self, calls: Sequence[TracedCall], working_set: int, model: Sequence[TracedCall] | None = None
    ) -> list[Prediction | None]:
        """Predict the times of op calls.

        Args:
            calls: the op calls with their outputs.
            working_set: number of binary digits of the bytes that one inference touches, as in ``Condition``.
            model: all op calls of an inference in their order, these among them; these alone if None.

        Returns:
            The time of each call; None where no sample is of a similar class.
        """
        between = in_order(calls if model is None else model)
        inputs = [features_of(one, self._ceilings, working_set, between[one.call.key]) for one in calls]
        by_model: dict[str, list[int]] = {}
        for number, one in enumerate(inputs):
            if one.operator_class != "other" and (name := self._name(one)) is not None:
                by_model.setdefault(name, []).append(number)
        predictions: list[Prediction | None] = [None] * len(calls)
        for name, numbers in by_model.items():
            learnt = self._models.model(name)
            for number, seconds in zip(numbers, learnt.predict([inputs[i] for i in numbers]), strict=True):
                predictions[number] = Prediction(seconds, inputs[number].operator_class, learnt.spread)
        return predictions

    def _name(self, call: Features) -> str | None:
        near = ("gemm",) if call.operator_class == "recurrent" else ()
        others = () if call.operator_class in MAC_CLASSES else (ANY,)  # learnt from what multiplies nothing
        names = (call.kind, call.operator_class, *near, *others)
        return next((name for name in names if name in self._models.names), None)


def too_small(trace: Trace, profile: ProfileReader, threads: int) -> str:
    """Why the profile's sweep on the CPU predicts no op call of a model, with the next step; "" without a sweep."""
    if not training_pools(profile, threads, "cpu"):
        return ""
    ceilings = Ceilings.read(profile, threads)
    samples = training_samples(profile, threads, "cpu", ceilings)
    swept = Counter(sample.features.kind for sample in samples)
    needed = sorted({features_of(traced, ceilings, trace.working_set).kind for traced in trace.calls})
    has = ", ".join(f"{count} of {kind}" for kind, count in sorted(swept.items())) or "none that ended"
    return (
        f"the sweep in {profile.path} with {counted(threads, 'thread')} is too small to predict from: it has "
        f"{counted(len(samples), 'op call')} ({has}), and a kind needs {MIN_ROWS}; this model has "
        f"{', '.join(needed)}. Run 'opclock sweep --preset board --threads {threads}' with this profile on its board"
    )
