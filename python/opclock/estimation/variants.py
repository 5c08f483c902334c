"""How a profile has a model where it does not have it as asked: in another dtype, or with other inputs."""

from __future__ import annotations

import json
from collections.abc import Iterator

from opclock.estimation.host_keys import host_program
from opclock.files import json_text
from opclock.profiles.reader import ProfileReader
from opclock.tracing.op_call import OpCall, TensorSpec
from opclock.tracing.trace import Trace

MOST = 3  # pools that are looked at, and named


def other_variants(trace: Trace, profile: ProfileReader) -> str:
    """Name the inputs or dtypes with which a profile has a model.

    Args:
        trace: the model.
        profile: the measurements; only read.

    Returns:
        A sentence with the first argument that differs, such as ". It has this model with 1x3x64x64 in bfloat16 in its
        aten::conv2d, in place of 1x3x32x32 in float32"; "" where it has this model in no other way.
    """
    variants = dict.fromkeys(_variants(trace, profile))
    return f". It has this model with {' and with '.join(variants)}" if variants else ""


def _variants(trace: Trace, profile: ProfileReader) -> Iterator[str]:
    """What differs in pools with the same operators from the same modules, the newest first."""
    pools = profile.ask(
        "SELECT p.id FROM pool p JOIN host h ON h.id = p.host WHERE h.key IN (SELECT value FROM json_each(?)) "
        "AND EXISTS (SELECT 1 FROM round WHERE round.pool = p.id) ORDER BY p.started DESC LIMIT ?",
        json_text(profile.host_keys(host_program(trace))), MOST,
    )  # fmt: skip
    for (pool,) in pools:
        keys = profile.ask(
            "SELECT o.key FROM member m JOIN op_call o ON o.id = m.op_call WHERE m.pool = ? ORDER BY m.position", pool
        )
        for traced, (key,) in zip(trace.calls, keys, strict=False):
            if key != traced.call.key:
                theirs = OpCall.from_json(json.loads(key))
                if theirs.operator == traced.call.operator and (found := _difference(traced.call, theirs)):
                    yield found
                break


def _difference(mine: OpCall, theirs: OpCall) -> str:
    """The first tensor that differs in shape or dtype; "" where another argument does."""
    for one, other in zip(mine.tensors(), theirs.tensors(), strict=False):
        if (one.shape, one.dtype) != (other.shape, other.dtype):
            return f"{_text(other)} in its {mine.operator}, in place of {_text(one)}"
    return ""


def _text(spec: TensorSpec) -> str:
    return f"{'x'.join(map(str, spec.shape)) or 'a scalar'} in {spec.dtype}"
