"""Validates one model of the corpus with a profile of its own."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch

from benchmarks.corpus.examining import Row
from benchmarks.corpus.kinds import KINDS
from opclock.board.identity import read_board
from opclock.errors import OpclockError
from opclock.models.loading import Model
from opclock.profiles.profile import Profile
from opclock.tracing.model_inputs import arguments_of
from opclock.validation.validate import validate_model

THREADS = 1


def validate(kind: str, name: str) -> Row:
    """The estimate of one model against its real inference.

    Args:
        kind: one of ``KINDS``.
        name: its name there.

    Returns:
        JSON-ready: ``error`` and ``repeat`` (fractions), ``reference_ms``, ``op_calls``, ``flags`` and ``interval``
        (whether the estimate's holds the reference); or ``outcome`` and ``why`` where it was refused.
    """
    torch.manual_seed(0)
    module, inputs = KINDS[kind].build(name)
    module = module.eval()
    model = Model(name, module, arguments_of(module, inputs))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "profile.sqlite"
        try:
            with Profile.create_or_open(path, read_board()) as profile:
                row = validate_model(model, profile, threads=THREADS)
        except OpclockError as error:
            return {"outcome": "refused", "why": str(error)}
    median_s = row.reference.median_s
    return {
        "outcome": "validated",
        "op_calls": len(row.trace.calls),
        "reference_ms": median_s * 1e3,
        "error": row.error,
        "repeat": row.reference.repeat_error,
        "interval": "holds" if row.estimate.ci_low_s <= median_s <= row.estimate.ci_high_s else "misses",
        "flags": " ".join(row.flags),
    }
