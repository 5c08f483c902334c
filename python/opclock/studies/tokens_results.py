"""Study C's findings as data: what limits each model's tokens, and how dtypes compare."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from opclock.flags import Flag, ordered
from opclock.formatting import SECONDS, digits, percent, quantity
from opclock.generation.result import LanguageModelEstimate
from opclock.generation.roles import HOST

SCHEMA = "opclock.tokens/1"
BANDWIDTH, COMPUTE, KERNELS = "bandwidth", "compute", "kernels"
PLAIN = "float32"  # with which other dtypes are compared
SHARES = {
    BANDWIDTH: "for what the bandwidth allows at best", COMPUTE: "for what the multiply-adds allow at best",
    KERNELS: "for kernels beyond their ceilings", HOST: "for the host",
}  # fmt: skip


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

    @property
    def token(self) -> dict[str, float]:
        """Shares of the time of a mean token: the ceiling that binds it, kernels beyond it, the host."""
        roof, macs = self.result.roofline, self.result.mac_ceiling
        tpot_s, host_s = self.result.tpot_s, self.result.by_role["token"][HOST]
        if roof is None or macs is None:
            return {KERNELS: 1.0 - host_s / tpot_s, HOST: host_s / tpot_s}
        mean = self.result.mean_over_depths
        least_s = min(mean(roof.tpot_s), tpot_s - host_s)
        binding = COMPUTE if mean(macs.tpot_s) > mean(roof.tpot_s) / 2 else BANDWIDTH
        return {
            binding: least_s / tpot_s, KERNELS: (tpot_s - host_s - least_s) / tpot_s, HOST: host_s / tpot_s,
        }  # fmt: skip

    @property
    def limit(self) -> str:
        """What takes most of a token's time."""
        return max(self.token, key=lambda name: self.token[name])

    @property
    def words(self) -> str:
        """The finding in a sentence."""
        shares = ", ".join(f"{percent(share)} {SHARES[name]}" for name, share in self.token.items())
        return (
            f"{self.model} in {self.weights} with a {self.cache} cache: a token takes "
            f"{quantity(self.result.tpot_s, SECONDS)}, {shares}; limited by {self.limit}"
        )


@dataclass(frozen=True)
class Tokens:
    """What the board showed."""

    board: dict[str, Any]
    threads: int
    cases: tuple[TokenCase, ...]

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
                "limit": case.limit, "weight_bytes": case.result.weight_bytes,
                "cache_bytes": case.result.cache_bytes[-1], "flags": " ".join(case.result.flags),
            }
            for case in self.cases
        ])  # fmt: skip

    def words(self) -> list[str]:
        """The findings in sentences: what limits each model, and where a narrower dtype helps."""
        return [*(case.words for case in self.cases), *self._comparisons()]

    def _comparisons(self) -> Iterator[str]:
        plain = {(case.model, case.cache): case.result for case in self.cases if case.weights == PLAIN}
        for case in self.cases:
            other = plain.get((case.model, case.cache))
            if case.weights == PLAIN or other is None:
                continue
            mine, theirs = case.result.tpot_interval_s, other.tpot_interval_s
            ratio = other.tpot_s / case.result.tpot_s
            if mine[0] <= theirs[1] and theirs[0] <= mine[1]:
                yield f"{case.weights} makes no difference beyond the intervals for {case.model}"
            elif ratio > 1:
                yield f"{case.weights} helps {case.model}: {digits(ratio)} times as many tokens a second"
            else:
                yield f"{case.weights} does not help {case.model}: a token takes {digits(1 / ratio)} times as long"

    def to_json(self) -> dict[str, Any]:
        """JSON-ready data of schema "opclock.tokens/1"."""
        return {
            "schema": SCHEMA,
            "board": self.board,
            "threads": self.threads,
            "cases": [
                {"weights": case.weights, "limit": case.limit, "token": case.token, **case.result.to_json()}
                for case in self.cases
            ],
            "words": self.words(),
        }
