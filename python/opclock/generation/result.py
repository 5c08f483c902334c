"""What a language model takes: time to the first token, time of each later token by depth, and where it goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from opclock.estimation.result import Estimate
from opclock.flags import Flag, ordered
from opclock.generation.depths import DepthCurve, Measured
from opclock.generation.roles import HOST, ROLES, roles
from opclock.tracing.macs import model_macs
from opclock.tracing.trace import Trace

if TYPE_CHECKING:
    import pandas as pd

    from opclock.generation.reference import GenerationReference

SCHEMA = "opclock.llm/1"


@dataclass(frozen=True)
class Ceiling:
    """What the ceilings of the board allow at least, in seconds.

    Attributes:
        ttft_s: of the prompt.
        tpot_s: of one token, at each measured depth.
        weights_s: of the products with weights in one token, at each measured depth.
    """

    ttft_s: float
    tpot_s: tuple[float, ...]
    weights_s: tuple[float, ...] = ()


@dataclass(frozen=True)
class Request:
    """What was asked for: numbers of tokens and sequences."""

    prompt: int
    generate: int
    batch: int
    cache: str

    @property
    def depths(self) -> range:
        """The depths of the tokens after the first: how many tokens are in the cache before each."""
        return range(self.prompt, self.prompt + self.generate - 1)


@dataclass(frozen=True)
class LanguageModelEstimate:
    """Time to the first token, time of each later token, and where it goes. Seconds; a token is one of each sequence.

    Attributes:
        model: its name.
        request: what was asked for.
        board: whose profile it is from.
        prompt_trace: the op calls of the prompt.
        prompt: their estimate; its ``total_s`` is the time to the first token.
        measured: one token at each measured depth.
        held_out: the depth on which the curve was not fitted; None where only one was measured.
        weight_bytes: memory of the parameters.
        cache_bytes: memory of the cache at each measured depth.
        roofline: the longer of two times by op call: MACs over their ceiling, bytes over that of reading.
        mac_ceiling: MACs over their ceiling, as who counts MACs would say.
        own_flags: of timing.
        reference: real generation, where it was asked for.
    """

    model: str
    request: Request
    board: dict[str, Any]
    prompt_trace: Trace
    prompt: Estimate
    measured: tuple[Measured, ...]
    held_out: int | None
    weight_bytes: int
    cache_bytes: tuple[int, ...]
    roofline: Ceiling | None = None
    mac_ceiling: Ceiling | None = None
    own_flags: tuple[Flag, ...] = ()
    reference: GenerationReference | None = None

    @cached_property
    def curve(self) -> DepthCurve:
        """The time of a token by depth, over all measured depths."""
        return DepthCurve([one for one in self.measured if one.depth != self.held_out])

    @cached_property
    def generation_curve(self) -> DepthCurve:
        """The same over the depths of the generation alone: a far depth that was asked for does not bend it."""
        first, last = self.request.depths[0], self.request.depths[-1]
        inside = [one for one in self.measured if first <= one.depth <= last and one.depth != self.held_out]
        return DepthCurve(inside) if inside else self.curve

    @cached_property
    def misfit(self) -> float:
        """The curve at the depth that was held out, over the time measured there, - 1; 0 where there is none."""
        held = next((one for one in self.measured if one.depth == self.held_out), None)
        return 0.0 if held is None else self.generation_curve.misfit(held)

    @property
    def ttft_s(self) -> float:
        """Time to the first token."""
        return self.prompt.total_s

    @cached_property
    def generate_s(self) -> float:
        """Time of all tokens after the first."""
        return float(self.generation_curve.seconds(self.request.depths).sum())

    @property
    def tpot_s(self) -> float:
        """The mean time of a token after the first."""
        return self.generate_s / len(self.request.depths)

    @property
    def total_s(self) -> float:
        """Time of the whole generation."""
        return self.ttft_s + self.generate_s

    @cached_property
    def _away(self) -> tuple[float, float]:
        """How far the interval of the curve goes below and above it, as fractions.

        The farthest of the measured depths', and the misfit.
        """
        fitted = [one.estimate for one in self.measured if one.depth != self.held_out]
        below = max(1.0 - one.ci_low_s / one.total_s for one in fitted)
        above = max(one.ci_high_s / one.total_s - 1.0 for one in fitted)
        return min(1.0, below + abs(self.misfit)), above + abs(self.misfit)

    @property
    def tpot_interval_s(self) -> tuple[float, float]:
        """The 95 % interval of the mean time of a token after the first."""
        below, above = self._away
        return self.tpot_s * (1.0 - below), self.tpot_s * (1.0 + above)

    @property
    def interval_s(self) -> tuple[float, float]:
        """The 95 % interval of the whole generation. The errors of prompt and tokens are added, as if of one sign."""
        below, above = self._away
        return (
            self.prompt.ci_low_s + self.generate_s * (1.0 - below),
            self.prompt.ci_high_s + self.generate_s * (1.0 + above),
        )

    @property
    def tokens_per_s(self) -> dict[str, float]:
        """Tokens a second of all sequences: of the prompt, and of the generation after the first token."""
        return {
            "prompt": self.request.batch * self.request.prompt / self.ttft_s,
            "generate": self.request.batch / self.tpot_s,
        }

    @cached_property
    def by_role(self) -> dict[str, dict[str, float]]:
        """Seconds of the prompt and of a mean token, by what they are spent on."""
        tokens = self.generation_curve.by_role(self.request.depths)
        prompt = dict.fromkeys(ROLES, 0.0)
        for role, part in zip(roles(self.prompt_trace), self.prompt.parts, strict=True):
            prompt[role] += part.kernel_s or 0.0
        prompt[HOST] = self.prompt.host_s
        return {
            "prompt": prompt,
            "token": {role: float(np.mean(tokens[role])) if role in tokens else 0.0 for role in ROLES},
        }

    @property
    def by_class(self) -> dict[str, float]:
        """Seconds of the whole generation by what they are spent on."""
        count = len(self.request.depths)
        return {role: self.by_role["prompt"][role] + count * self.by_role["token"][role] for role in ROLES}

    @property
    def flags(self) -> tuple[Flag, ...]:
        """What may make the numbers wrong."""
        estimates = [self.prompt, *(one.estimate for one in self.measured)]
        contended = self.reference is not None and self.reference.contended
        found = [flag for one in estimates for flag in one.flags]
        return ordered([*self.own_flags, *found, *(["contended"] if contended else [])])

    @property
    def unknown(self) -> tuple[str, ...]:
        """The op calls that have no number, each once; the times leave them out."""
        estimates = [self.prompt, *(one.estimate for one in self.measured)]
        return tuple(dict.fromkeys(name for one in estimates for name in one.unknown))

    def mean_over_depths(self, at_measured: Sequence[float]) -> float:
        """The mean over the generation's depths of what is known at the measured ones, with lines in between."""
        depths = [one.depth for one in self.measured]
        return float(np.interp(list(self.request.depths), depths, list(at_measured)).mean())

    @property
    def errors(self) -> dict[str, float] | None:
        """By ttft, tpot and total: the estimate over real generation, - 1; None without a reference."""
        real = self.reference
        if real is None:
            return None
        pairs = {
            "ttft": (self.ttft_s, real.ttft_s),
            "tpot": (self.tpot_s, real.tpot_s),
            "total": (self.total_s, real.total_s),
        }
        return {name: ours / theirs - 1.0 for name, (ours, theirs) in pairs.items()}

    def to_frame(self) -> pd.DataFrame:
        """A table, one row a measured depth.

        Columns: depth, tpot_s, ci_low_s, ci_high_s, tokens_per_s, cache_bytes, macs, roofline_s; with a reference also
        reference_s and error.
        """
        import pandas as pd

        rows = []
        for number, one in enumerate(self.measured):
            real = None if self.reference is None else self.reference.tpot_at_s(one.depth)
            rows.append({
                "depth": one.depth,
                "tpot_s": one.estimate.total_s,
                "ci_low_s": one.estimate.ci_low_s,
                "ci_high_s": one.estimate.ci_high_s,
                "tokens_per_s": self.request.batch / one.estimate.total_s,
                "cache_bytes": self.cache_bytes[number],
                "macs": model_macs(one.trace),
                "roofline_s": None if self.roofline is None else self.roofline.tpot_s[number],
                **({} if self.reference is None else {
                    "reference_s": real, "error": None if real is None else one.estimate.total_s / real - 1.0,
                }),
            })  # fmt: skip
        return pd.DataFrame(rows)

    def to_json(self) -> dict[str, Any]:
        """JSON-ready data of schema "opclock.llm/1"."""
        low, high = self.interval_s
        token_low, token_high = self.tpot_interval_s
        return {
            "schema": SCHEMA,
            "model": self.model,
            "dtype": self.prompt.setting.dtype,
            "device": self.prompt.setting.device,
            "threads": self.prompt.threads,
            "batch": self.request.batch,
            "prompt": self.request.prompt,
            "generate": self.request.generate,
            "cache": self.request.cache,
            "board": self.board,
            "ttft_s": self.ttft_s,
            "ttft_ci_low_s": self.prompt.ci_low_s,
            "ttft_ci_high_s": self.prompt.ci_high_s,
            "tpot_s": self.tpot_s,
            "tpot_ci_low_s": token_low,
            "tpot_ci_high_s": token_high,
            "decode": self._decode_json(),
            "held_out_depth": self.held_out,
            "misfit": self.misfit,
            "total_s": self.total_s,
            "ci_low_s": low,
            "ci_high_s": high,
            "tokens_per_s": self.tokens_per_s,
            "by_class": self.by_class,
            "phases": self.by_role,
            "host_s": self.by_class[HOST],
            "laws": self.curve.kinds,
            "memory": {"weights_bytes": self.weight_bytes},
            "macs": self._macs_json(),
            "roofline": None if self.roofline is None else self._ceiling_json(self.roofline),
            "machine_state": None if self.prompt.shift is None else self.prompt.shift.to_json(),
            "flags": list(self.flags),
            **self._reference_json(),
        }

    def _decode_json(self) -> list[dict[str, Any]]:
        return [
            {
                "depth": one.depth,
                "tpot_s": one.estimate.total_s,
                "ci_low_s": one.estimate.ci_low_s,
                "ci_high_s": one.estimate.ci_high_s,
                "cache_bytes": nbytes,
            }
            for one, nbytes in zip(self.measured, self.cache_bytes, strict=True)
        ]

    def _ceiling_json(self, ceiling: Ceiling) -> dict[str, float]:
        return {"ttft_s": ceiling.ttft_s, "tpot_s": self.mean_over_depths(ceiling.tpot_s)}

    def _macs_json(self) -> dict[str, Any]:
        counts = {"prompt": model_macs(self.prompt_trace), "token": [model_macs(one.trace) for one in self.measured]}
        return {**counts, **({} if self.mac_ceiling is None else self._ceiling_json(self.mac_ceiling))}

    def _reference_json(self) -> dict[str, Any]:
        real = self.reference
        if real is None:
            return {}
        decode = [{"depth": one.depth, "tpot_s": real.tpot_at_s(one.depth)} for one in self.measured]
        return {
            "reference": {
                "ttft_s": real.ttft_s,
                "tpot_s": real.tpot_s,
                "decode": [one for one in decode if one["tpot_s"] is not None],
                "total_s": real.total_s,
                "repeat_error": real.repeat_errors["total"],
                "repeat_errors": real.repeat_errors,
                "generations": len(real.samples),
                **({"loops_s": real.loops_s} if real.loops_s else {}),
            },
            "errors": self.errors,
        }
