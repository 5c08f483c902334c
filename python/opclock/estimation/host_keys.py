"""Which host work in a profile is a model's. Needs no torch.

A key names the op calls and their modules, and after a colon the hash of the model's own code where a trace has one, as
in "5a0c7e9b12d4f836:cpython-312:6b1f0c5e8d2a4f70". Profiles and traces of earlier versions have keys without code.
"""

from __future__ import annotations

import hashlib

from opclock.profiles.condition import Condition
from opclock.profiles.reader import ProfileReader
from opclock.tracing.trace import Trace


def host_key(trace: Trace) -> str:
    """Identify a model's host work.

    Args:
        trace: the model.

    Returns:
        The key, equal for traces with the same operators from the same modules in the same order, and the same code.
    """
    return f"{host_program(trace)}:{trace.code}" if trace.code else host_program(trace)


def host_program(trace: Trace) -> str:
    """The part of the key that is the same whatever the code between the op calls is: 16 hexadecimal digits."""
    text = "\n".join(f"{traced.module}/{traced.module_type}/{traced.host_operator}" for traced in trace.calls)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def split_key(key: str) -> tuple[str, str]:
    """The program, and the hash of the code; "" where it was not kept."""
    program, _, code = key.partition(":")
    return program, code


def usable_keys(trace: Trace, profile: ProfileReader) -> list[str]:
    """The keys under which a profile may have a model's host work.

    Args:
        trace: the model.
        profile: the measurements; only read.

    Returns:
        The model's own key; after it those of the same program whose code cannot be compared with the model's: it was
        not kept, or Python was another version.
    """
    own = host_key(trace)
    others = (key for key in profile.host_keys(host_program(trace)) if key != own)
    return [own, *(key for key in others if not _comparable(own, key))]


def has_other_code(trace: Trace, profile: ProfileReader, condition: Condition) -> bool:
    """Whether a profile has the host work of the same program with other code, on this device and as many threads."""
    usable = usable_keys(trace, profile)
    keys = (key for key in profile.host_keys(host_program(trace)) if key not in usable)
    return any(profile.pools_with_host(condition, key, 1) for key in keys)


def _comparable(key: str, other: str) -> bool:
    """Whether the keys tell if the code is the same."""
    code, others = split_key(key)[1], split_key(other)[1]
    return bool(code and others) and code.partition(":")[0] == others.partition(":")[0]
