"""Study C's findings as data: what limits each model's tokens, and how dtypes and caches compare."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from opclock.flags import Flag, ordered
from opclock.formatting import BYTES, SECONDS, digits, percent, quantity
from opclock.generation.result import LanguageModelEstimate
from opclock.generation.roles import HOST

SCHEMA = "opclock.tokens/1"
BANDWIDTH, COMPUTE, KERNELS = "bandwidth", "compute", "kernels"
PLAIN, GROWING = "float32", "dynamic"  # with which other weights and caches are compared
SHARES = {
    BANDWIDTH: "for what the bandwidth allows at best", COMPUTE: "for what the multiply-adds allow at best",
    KERNELS: "for kernels beyond their ceilings", HOST: "for the host",
}  # fmt: skip

Interval = tuple[float, float]


@dataclass(frozen=True)
class TokenCase:
    """One model with weights of one type and one kind of cache."""

    model: str
    weights: str
    result: LanguageModelEstimate

    @property
    def cache(self) -> str:
        """The kind of cache."""
        return self.result.request.cache

    @cached_property
    def token(self) -> dict[str, float]:
        """Shares of the time of a mean token: the ceiling that binds it, kernels beyond it, the host."""
        roof, macs = self.result.roofline, self.result.mac_ceiling
        if roof is None or macs is None:
            return _shares(self.result.tpot_s, self._host_s("token"), None, None)
        mean = self.result.mean_over_depths
        return _shares(self.result.tpot_s, self._host_s("token"), mean(roof.tpot_s), mean(macs.tpot_s))

    @cached_property
    def prompt(self) -> dict[str, float]:
        """The same shares of the time to the first token."""
        roof, macs = self.result.roofline, self.result.mac_ceiling
        ceilings = (None, None) if roof is None or macs is None else (roof.ttft_s, macs.ttft_s)
        return _shares(self.result.ttft_s, self._host_s("prompt"), *ceilings)

    def _host_s(self, phase: str) -> float:
        return self.result.by_role[phase][HOST]

    @property
    def limit(self) -> str:
        """What takes most of a token's time."""
        return _largest(self.token)

    @property
    def prompt_limit(self) -> str:
        """What takes most of the time to the first token."""
        return _largest(self.prompt)

    @property
    def words(self) -> str:
        """The finding in a sentence."""
        shares = ", ".join(f"{percent(share)} {SHARES[name]}" for name, share in self.token.items())
        return (
            f"{self.model} in {self.weights} with a {self.cache} cache: a token takes "
            f"{quantity(self.result.tpot_s, SECONDS)}, {shares}; limited by {self.limit}. The first token takes "
            f"{quantity(self.result.ttft_s, SECONDS)}; limited by {self.prompt_limit} "
            f"({percent(self.prompt[self.prompt_limit])})"
        )


def _shares(total_s: float, host_s: float, roof_s: float | None, macs_s: float | None) -> dict[str, float]:
    """Shares of a time. Without ceilings: kernels and host."""
    if roof_s is None or macs_s is None:
        return {KERNELS: 1.0 - host_s / total_s, HOST: host_s / total_s}
    least_s = min(roof_s, total_s - host_s)
    binding = COMPUTE if macs_s > roof_s / 2 else BANDWIDTH
    return {binding: least_s / total_s, KERNELS: (total_s - host_s - least_s) / total_s, HOST: host_s / total_s}


def _largest(shares: dict[str, float]) -> str:
    return max(shares, key=lambda name: shares[name])


@dataclass(frozen=True)
class Refused:
    """A model that could not be timed, and why."""

    model: str
    weights: str
    cache: str
    reason: str

    @property
    def words(self) -> str:
        """In a sentence."""
        return f"{self.model} in {self.weights} with a {self.cache} cache was not timed: {self.reason}"


@dataclass(frozen=True)
class _Comparison:
    """A case with narrower weights or another cache, and the plain one."""

    case: TokenCase
    plain: TokenCase

    @cached_property
    def token_ratio(self) -> float | None:
        """How many times as many tokens a second; None where the intervals do not tell them apart."""
        ours, theirs = self.case.result, self.plain.result
        if _overlap(ours.tpot_interval_s, theirs.tpot_interval_s):
            return None
        return theirs.tpot_s / ours.tpot_s

    @cached_property
    def prompt_ratio(self) -> float | None:
        """The same for the prompt."""
        ours, theirs = self.case.result.prompt, self.plain.result.prompt
        if _overlap((ours.ci_low_s, ours.ci_high_s), (theirs.ci_low_s, theirs.ci_high_s)):
            return None
        return theirs.total_s / ours.total_s

    @property
    def words(self) -> str:
        """In a sentence."""
        case, plain = self.case, self.plain
        ours, theirs = (quantity(one.result.weight_bytes, BYTES) for one in (case, plain))
        what = f"{case.weights} instead of {plain.weights} ({ours} of weights instead of {theirs})"
        if case.weights == plain.weights:
            what = f"a {case.cache} instead of a {plain.cache} cache, {case.weights}"
        return (
            f"{case.model}, {what}: {_changed('a token', self.token_ratio)}; "
            f"{_changed('the first token', self.prompt_ratio)}"
        )


def _overlap(one: Interval, other: Interval) -> bool:
    return one[0] <= other[1] and other[0] <= one[1]


def _changed(what: str, ratio: float | None) -> str:
    if ratio is None:
        return f"{what} takes as long, within the intervals"
    if ratio > 1:
        return f"{what} is {digits(ratio)} times as fast"
    return f"{what} takes {digits(1 / ratio)} times as long"


@dataclass(frozen=True)
class Tokens:
    """What the board showed."""

    board: dict[str, Any]
    threads: int
    cases: tuple[TokenCase, ...]
    refused: tuple[Refused, ...] = ()

    @property
    def flags(self) -> tuple[Flag, ...]:
        """Of all cases."""
        return ordered([flag for case in self.cases for flag in case.result.flags])

    def to_frame(self) -> pd.DataFrame:
        """A table, one row a case. Times are in seconds, shares are fractions."""
        return pd.DataFrame([
            {
                "model": case.model, "weights": case.weights, "cache": case.cache, "ttft_s": case.result.ttft_s,
                "tpot_s": case.result.tpot_s, "deep_tpot_s": case.result.measured[-1].estimate.total_s,
                "tokens_per_s": case.result.tokens_per_s["generate"],
                **{f"{name}_share": case.token.get(name, 0.0) for name in SHARES},
                "limit": case.limit, "prompt_limit": case.prompt_limit, "weight_bytes": case.result.weight_bytes,
                "cache_bytes": case.result.cache_bytes[-1], "flags": " ".join(case.result.flags),
            }
            for case in self.cases
        ])  # fmt: skip

    def words(self) -> list[str]:
        """The findings in sentences: what limits each model, and where narrower weights and another cache help."""
        comparisons = list(self._comparisons())
        return [
            *_summaries([one for one in comparisons if one.case.weights != PLAIN]),
            *(case.words for case in self.cases),
            *(one.words for one in comparisons),
            *(one.words for one in self.refused),
        ]

    def _comparisons(self) -> Iterator[_Comparison]:
        plain = {case.model: case for case in self.cases if (case.weights, case.cache) == (PLAIN, GROWING)}
        for case in self.cases:
            other = plain.get(case.model)
            if other is not None and case is not other:
                yield _Comparison(case, other)

    def to_json(self) -> dict[str, Any]:
        """JSON-ready data of schema "opclock.tokens/1"."""
        return {
            "schema": SCHEMA,
            "board": self.board,
            "threads": self.threads,
            "cases": [
                {
                    "weights": case.weights, "limit": case.limit, "token": case.token,
                    "prompt_limit": case.prompt_limit, "prompt_shares": case.prompt, **case.result.to_json(),
                }
                for case in self.cases
            ],
            "refused": [vars(one) for one in self.refused],
            "words": self.words(),
        }  # fmt: skip


def _summaries(comparisons: list[_Comparison]) -> Iterator[str]:
    """By type of weights: where it helps and where not, for tokens and for prompts."""
    for weights in dict.fromkeys(one.case.weights for one in comparisons):
        same = [one for one in comparisons if one.case.weights == weights]
        for what, ratio in (("tokens", "token_ratio"), ("prompts", "prompt_ratio")):
            yield f"{weights} weights, {what}: {_sorted_out([(one.case.model, getattr(one, ratio)) for one in same])}"


def _sorted_out(ratios: list[tuple[str, float | None]]) -> str:
    groups = {
        "faster": [name for name, ratio in ratios if ratio is not None and ratio > 1],
        "slower": [name for name, ratio in ratios if ratio is not None and ratio <= 1],
        "no difference": [name for name, ratio in ratios if ratio is None],
    }
    return "; ".join(f"{group} for {', '.join(names)}" for group, names in groups.items() if names)
