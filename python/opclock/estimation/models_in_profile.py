"""Estimates of the models that a profile has measurements of. They need no trace: the pools have their op calls."""

from __future__ import annotations

import json
from dataclasses import replace

from opclock.errors import EstimateError
from opclock.estimation.estimate import estimate
from opclock.estimation.host_keys import split_key
from opclock.estimation.result import Estimate
from opclock.formatting import counted
from opclock.profiles.pool import Pool
from opclock.profiles.reader import ProfileReader
from opclock.tracing.op_call import OpCall
from opclock.tracing.trace import Storage, Trace, TracedCall

MAX_MODELS = 20  # the newest: a page with more takes long to make


def estimates(profile: ProfileReader) -> list[Estimate]:
    """Estimate each model of a profile, in each setting in which it was measured.

    Args:
        profile: the measurements; only read.

    Returns:
        One for each model and setting, the newest measurement first, at most MAX_MODELS. Pools of earlier versions name
        neither the model nor its modules: the modules are then the types of modules.

    Raises:
        EstimateError: the profile has no model.
        ProfileError: the profile cannot be read.
    """
    found: dict[tuple[object, ...], Estimate] = {}
    for number in profile.model_pools():
        pool = profile.pool(number)
        identity = (split_key(pool.host_key)[0], pool.keys, pool.condition.device, pool.condition.threads)
        trace = _trace(profile, pool) if identity not in found else None
        if trace is not None:
            found[identity] = estimate(trace, profile, threads=pool.condition.threads, device=pool.condition.device,
                                       dtype=trace.dtype)  # fmt: skip
        if len(found) == MAX_MODELS:
            break
    if not found:
        raise EstimateError(f"{profile.path} has no model; run 'opclock measure MODEL' with this profile first")
    return list(found.values())


def _trace(profile: ProfileReader, pool: Pool) -> Trace | None:
    """What an estimate needs of a model's trace; None for a pool that does not hold a whole model.

    One storage stands for all, of as many bytes as the pool's working set.
    """
    model, types = pool.context.get("model", {}), [kind.rpartition("/")[0] for kind in pool.host_kinds[:-1]]
    modules = model.get("modules", [[one, one] for one in types])
    if len(modules) != len(pool.keys):
        return None
    stored, calls = profile.traced(pool.keys), []
    for key, (module, module_type) in zip(pool.keys, modules, strict=True):
        traced = stored.get(key) or TracedCall(OpCall.from_json(json.loads(key)), (), (), (0,))
        calls.append(replace(traced, module=module, module_type=module_type))
    storage = Storage("activation", 1 << max(0, pool.condition.working_set - 1), len(calls))
    name = model.get("name", f"model of {counted(len(calls), 'op call')}")
    return Trace(name, (), 0, len(calls), (storage,), tuple(calls), code=split_key(pool.host_key)[1],
                 python_calls=pool.python_calls)  # fmt: skip
