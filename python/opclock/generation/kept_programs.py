"""The programs of a language model, kept in a profile: the same question needs neither the model nor tracing again."""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from opclock.errors import TraceError
from opclock.estimation.host_keys import host_key
from opclock.files import json_text
from opclock.generation.plan import Plan
from opclock.generation.programs import Program, Programs
from opclock.generation.result import Request
from opclock.profiles.profile import Profile
from opclock.tracing.trace import Trace

KEY = "language_model"  # in the context of the prompt's pool
PACKAGES = ("opclock", "torch", "transformers")  # whose code decides the programs


def fingerprint(text: str, dtype: str, device: str, request: Request, plan: Plan) -> str | None:
    """Name all that decides a model's programs.

    Args:
        text: the model's name.
        dtype: as it was asked for.
        device: where the model runs.
        request: prompt and generation.
        plan: the depths.

    Returns:
        A digest of the configuration, the request and the versions; None where a model is no folder with a
        configuration: the code of a factory may import anything.
    """
    kind, _, folder = text.partition(":")
    file = Path(folder) / "config.json"
    if kind != "hf" or not file.is_file():
        return None
    try:
        versions = [version(package) for package in PACKAGES]
        facts = [file.read_text(encoding="utf-8"), file.parent.name, versions, dtype, device, vars(request), vars(plan)]
    except (OSError, UnicodeDecodeError, PackageNotFoundError):
        return None
    return hashlib.sha256(json_text(facts).encode()).hexdigest()


def kept(profile: Profile, digest: str) -> Programs | None:
    """The programs of this fingerprint; None where the profile does not keep them."""
    rows = profile.ask(
        f"SELECT json_extract(context, '$.{KEY}.programs') FROM pool "
        f"WHERE json_extract(context, '$.{KEY}.fingerprint') = ? ORDER BY started DESC LIMIT 1", digest,
    )  # fmt: skip
    with suppress(TraceError, ValueError, KeyError, TypeError, zlib.error):  # what cannot be read is traced anew
        return _from_json(json.loads(zlib.decompress(base64.b64decode(rows[0][0])))) if rows else None
    return None


def keep(profile: Profile, digest: str, programs: Programs) -> None:
    """Keep the programs beside the rounds of the prompt. Raises ProfileError where the file cannot be written."""
    pools = profile.ask(
        "SELECT p.id FROM pool p JOIN host h ON h.id = p.host WHERE h.key = ? ORDER BY p.started DESC LIMIT 1",
        host_key(programs.prompt.trace),
    )  # fmt: skip
    if pools:
        packed = base64.b64encode(zlib.compress(json_text(_to_json(programs)).encode())).decode()
        profile.annotate_pool(int(pools[0][0]), {KEY: {"fingerprint": digest, "programs": packed}})


def _to_json(programs: Programs) -> dict[str, Any]:
    tokens = [{"depth": one.depth, "trace": one.trace.to_json(), "cache_bytes": one.cache_bytes}
              for one in programs.tokens]  # fmt: skip
    return {"model": programs.model, "weight_bytes": programs.weight_bytes, "prompt": programs.prompt.trace.to_json(),
            "tokens": tokens}  # fmt: skip


def _from_json(data: dict[str, Any]) -> Programs:
    tokens = (Program(one["depth"], Trace.from_json(one["trace"]), None, one["cache_bytes"]) for one in data["tokens"])
    prompt = Program(None, Trace.from_json(data["prompt"]), None)
    return Programs(data["model"], data["weight_bytes"], prompt, tuple(tokens))
