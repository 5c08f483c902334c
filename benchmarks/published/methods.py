"""Estimates of published models by several methods. Each learns only from other models of the same device.

Op calls are learnt from other families of models: no method has seen another width of the same network. The constant
and the line are fitted to all other models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.published.models import Device, PublishedModel, by_family
from benchmarks.published.nn_meter import KernelForests
from opclock.estimation.baselines import mac_regression
from opclock.prediction.ceilings import DTYPES, PATTERNS, SIZES, Ceilings
from opclock.prediction.features import NATIVE, Features, features_of
from opclock.prediction.predictor import Predictor
from opclock.prediction.surroundings import Between, in_order
from opclock.prediction.training import Sample, Training
from opclock.tracing.macs import macs, moved_bytes
from opclock.tracing.trace import TracedCall

FOLDS = 5
CPU_THREADS = 1  # of ceilings, which no publisher names


@dataclass(frozen=True)
class Estimates:
    """Of one device: seconds by model, and by op call of the models left out."""

    models: tuple[PublishedModel, ...]
    by_method: dict[str, list[float | None]]
    calls_s: np.ndarray  # measured, op calls one after the other
    calls_by_method: dict[str, np.ndarray]


def host_constant(models: Sequence[PublishedModel]) -> float:
    """What a device adds to the sum of op calls: seconds, with the smallest mean relative error on these models.

    That is the median of whole minus sum, each weighted by 1 / whole. It is opclock's host term in its simplest form:
    publishers time no host.
    """
    if not models:
        return 0.0
    rest = np.array([model.whole_s - model.sum_s for model in models])
    weights = np.array([1 / model.whole_s for model in models])
    order = np.argsort(rest)
    reached = np.cumsum(weights[order]) >= weights.sum() / 2
    return float(rest[order][np.argmax(reached)])


def ceilings_of(models: Sequence[PublishedModel]) -> Ceilings:
    """The highest rates that any op call of these models reached, in place of ceilings that nobody measured."""
    calls = [call for model in models for call in model.calls]
    rate = max((macs(call.traced) / call.seconds for call in calls), default=0.0) or 1.0
    bytes_per_s = max(moved_bytes(call.traced) / call.seconds for call in calls)
    return Ceilings(CPU_THREADS, dict.fromkeys(DTYPES, rate),
                    {pattern: dict.fromkeys(SIZES, bytes_per_s) for pattern in PATTERNS}, {})  # fmt: skip


def learn(models: Sequence[PublishedModel]) -> Predictor:
    """The predictor of opclock, with the op calls of these models in place of a sweep's; a model counts as a pool."""
    ceilings = ceilings_of(models)
    samples = []
    for number, model in enumerate(models):
        by_key: dict[str, list[float]] = {}
        traced = {}
        between = in_order([call.traced for call in model.calls])
        for call in model.calls:
            by_key.setdefault(call.traced.call.key, []).append(call.seconds)
            traced[call.traced.call.key] = call.traced
        samples += [
            Sample(
                _features(traced[key], ceilings, model.working_set, between[key]),
                float(np.median(seconds)),
                key,
                number,
            )
            for key, seconds in by_key.items()
        ]
    return Predictor(Training(samples), ceilings)


def _features(traced: TracedCall, ceilings: Ceilings, working_set: int, between: Between) -> Features:
    """What a predictor learns from. PyTorch's choice of a convolution's kernel says nothing of other runtimes."""
    found = features_of(traced, ceilings, working_set, between)
    return replace(found, kind=found.operator_class) if found.kind == NATIVE else found


def _sums(model: PublishedModel, seconds: Sequence[float]) -> float:
    return sum(call.times * value for call, value in zip(model.calls, seconds, strict=True))


def _left_out(models: Sequence[PublishedModel]) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """By the name of a model: the seconds of its op calls by opclock's predictor and by nn-Meter's forests."""
    ours: dict[str, list[float]] = {}
    theirs: dict[str, list[float]] = {}
    for others, unknown in by_family(models, FOLDS):
        predictor = learn(others)
        timed = [call for model in others for call in model.calls]
        forests = KernelForests([call.traced for call in timed], [call.seconds for call in timed])
        for model in unknown:
            traced = [call.traced for call in model.calls]
            predictions = predictor.predict(traced, model.working_set)
            ours[model.name] = [0.0 if one is None else one.seconds for one in predictions]
            theirs[model.name] = forests.predict(traced)
    return ours, theirs


def estimate(device: Device) -> Estimates:
    """Estimate each model of a device.

    Args:
        device: its models.

    Returns:
        Seconds by method: "sum" of the model's own op calls; "sum + host" with the constant of the others; where shapes
        are known "predicted + host", of op calls that opclock's predictor has not seen, and "nn-Meter's way"; and
        "line through FLOPs". None where there are too few other models.
    """
    models = device.models
    constants = [host_constant([other for other in models if other is not model]) for model in models]
    by_method: dict[str, list[float | None]] = {
        "sum": [model.sum_s for model in models],
        "sum + host": [model.sum_s + added if len(models) > 1 else None
                       for model, added in zip(models, constants, strict=True)],
    }  # fmt: skip
    calls_by_method: dict[str, np.ndarray] = {}
    described = all(model.described for model in models)
    if described and len({model.family for model in models}) > 1:
        ours, theirs = _left_out(models)
        by_method["predicted + host"] = [
            _sums(model, ours[model.name]) + added for model, added in zip(models, constants, strict=True)
        ]
        by_method["nn-Meter's way"] = [_sums(model, theirs[model.name]) for model in models]
        for name, found in (("predicted", ours), ("nn-Meter's way", theirs)):
            calls_by_method[name] = np.concatenate([found[model.name] for model in models])
    if described:
        by_method["line through FLOPs"] = list(
            mac_regression([round(model.macs) for model in models], [model.whole_s for model in models])
        )
    measured = np.array([call.seconds for model in models for call in model.calls])
    return Estimates(models, by_method, measured, calls_by_method)
