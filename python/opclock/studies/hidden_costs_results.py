"""Study A's findings as data: how far MACs explain the time, and what explains the rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import bootstrap, kendalltau, spearmanr

from opclock.formatting import counted, digits, percent
from opclock.tracing.operator_classes import MAC_CLASSES
from opclock.validation.results import Validation, class_table, validation_table

SCHEMA = "opclock.hidden-costs/1"
RESAMPLES = 2000  # of the bootstrap: the interval's ends are then steady to the second digit
CONFIDENCE = 0.95
MIN_MODELS = 3  # a line and a correlation through fewer say nothing
EXPLAINED = 0.10  # mean error of a line through MACs up to which it explains the times


@dataclass(frozen=True)
class Correlation:
    """A rank correlation between MACs and time, with a bootstrap interval over the models."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Inversion:
    """A pair in which fewer MACs take longer, beyond the noise of both."""

    fewer_macs: str
    more_macs: str
    macs_ratio: float  # of the first to the second, below 1
    time_ratio: float  # of the first to the second, above 1


@dataclass(frozen=True)
class HiddenCosts:
    """What the board showed: the validation, and what follows from the models whose times are reliable.

    Attributes:
        left_out: the names of the models that are left out of everything that follows from all models. None where
            fewer than ``MIN_MODELS`` would be left.
    """

    validation: Validation
    left_out: tuple[str, ...]
    table: pd.DataFrame
    classes: pd.DataFrame
    summary: dict[str, Any]
    slope_s_per_mac: float
    offset_s: float
    r_squared: float
    spearman: Correlation
    kendall: Correlation
    inversions: tuple[Inversion, ...]

    @staticmethod
    def of(validation: Validation, seed: int = 0) -> HiddenCosts:
        """Derive the findings.

        Args:
            validation: of three models or more with different MACs; with fewer the correlations mean little.
            seed: of the bootstrap.
        """
        table = validation_table(validation)
        doubtful = tuple(row.trace.model for row in validation.rows if not row.reliable)
        left_out = doubtful if len(table) - len(doubtful) >= MIN_MODELS else ()
        counting = table[~table["model"].isin(left_out)]
        macs, times = counting["macs"].to_numpy(float), counting["reference_s"].to_numpy(float)
        slope, offset = np.polyfit(macs, times, 1)
        residual = times - (slope * macs + offset)
        return HiddenCosts(
            validation=validation,
            left_out=left_out,
            table=table,
            classes=class_table(validation),
            summary=validation.summary(),
            slope_s_per_mac=float(slope),
            offset_s=float(offset),
            r_squared=float(1 - residual.var() / times.var()),
            spearman=_correlation(spearmanr, macs, times, seed),
            kendall=_correlation(kendalltau, macs, times, seed),
            inversions=inversions(counting),
        )

    def to_json(self) -> dict[str, Any]:
        """JSON-ready data of schema "opclock.hidden-costs/1"."""
        return {
            "schema": SCHEMA,
            "fit": {"slope_s_per_mac": self.slope_s_per_mac, "offset_s": self.offset_s, "r_squared": self.r_squared},
            "spearman": vars(self.spearman),
            "kendall": vars(self.kendall),
            "inversions": [vars(inversion) for inversion in self.inversions],
            "summary": self.summary,
            "validation": self.validation.to_json(),
        }

    @property
    def counting(self) -> pd.DataFrame:
        """The rows of the table without those that are left out."""
        return self.table[~self.table["model"].isin(self.left_out)]

    @property
    def non_mac_classes(self) -> pd.Series:
        """Mean share of a model's time by class, without the classes that MACs see, the largest first."""
        classes = self.classes[~self.classes.index.isin(self.left_out)]
        shares = classes.div(classes.sum(axis=1), axis=0).mean()
        return shares.drop(labels=list(MAC_CLASSES), errors="ignore").sort_values(ascending=False)

    def words(self) -> list[str]:
        """The findings in sentences. Where times are not reliable, the first says so."""
        return [
            *self._doubts(),
            self._ranks(),
            *self._regression(),
            *self._estimate(),
            self._other_classes(),
            self._rates(),
            self._inversions(),
        ]

    def _doubts(self) -> list[str]:
        models = [row.trace.model for row in self.validation.rows if not row.reliable]
        if not models:
            return []
        follows = "what follows leaves them out" if self.left_out else "what follows does not hold yet"
        return [f"The times of {len(models)} of {len(self.table)} models are not reliable ({', '.join(models)}), so "
                f"{follows}: measure again on a quiet machine."]  # fmt: skip

    def _ranks(self) -> str:
        return (
            f"MACs and measured time rank the {len(self.counting)} models with a Spearman correlation of "
            f"{self.spearman.value:.2f} [{self.spearman.low:.2f}, {self.spearman.high:.2f}] and a Kendall correlation "
            f"of {self.kendall.value:.2f} [{self.kendall.low:.2f}, {self.kendall.high:.2f}]."
        )

    def _regression(self) -> list[str]:
        """None where there are too few models for a line through the others, or too few reliable ones."""
        error = self.summary["baselines"]["mac_regression"]["mape"]
        if error is None or self.summary["models"] < MIN_MODELS:
            return []
        verdict = "does" if error <= EXPLAINED else "does not"
        return [f"MAC count {verdict} explain this board: a line through the MACs of the other models misses a model's "
                f"time by {percent(error)} on average."]  # fmt: skip

    def _estimate(self) -> list[str]:
        """None where no model is reliable."""
        if not self.summary["models"]:
            return []
        return [
            f"opclock's estimate misses by {percent(self.summary['mape'])} on average of "
            f"{counted(self.summary['models'], 'model')} (worst "
            f"{percent(self.summary['max_abs_error'])}), where measuring the model a second time differs by "
            f"{percent(self.summary['repeat_mape'])}; adding up kernels timed back to back misses by "
            f"{percent(self.summary['baselines']['back_to_back']['mape'])}."
        ]

    def _other_classes(self) -> str:
        classes = self.non_mac_classes
        largest = ", then ".join(f"{name} ({percent(share)})" for name, share in classes.head(3).items())
        return (
            f"{percent(classes.sum())} of a model's time, on average, lies outside the kernels that MACs count; the "
            f"most of it in {largest}."
        )

    def _rates(self) -> str:
        rates = self.counting.set_index("model")["gmacs_per_s"]
        return (
            f"The kernels that MACs count do not run at one rate either: from {rates.min():.1f} GMAC/s "
            f"({rates.idxmin()}) to {rates.max():.1f} GMAC/s ({rates.idxmax()}), "
            f"{digits(rates.max() / rates.min())} times."
        )

    def _inversions(self) -> str:
        if not self.inversions:
            return "No model with fewer MACs takes longer than one with more, beyond the noise."
        worst = max(self.inversions, key=lambda inversion: inversion.time_ratio / inversion.macs_ratio)
        return (
            f"In {counted(len(self.inversions), 'pair')} of models the one with fewer MACs takes longer, beyond the "
            f"noise; the starkest: {worst.fewer_macs} has {worst.macs_ratio:.2f} times the MACs of {worst.more_macs} "
            f"and takes {worst.time_ratio:.2f} times as long."
        )


def _correlation(function: Any, macs: Any, times: Any, seed: int) -> Correlation:  # noqa: ANN401
    def statistic(x: Any, y: Any) -> float:  # noqa: ANN401
        return float(function(x, y).statistic) if np.ptp(x) > 0 and np.ptp(y) > 0 else 1.0

    resampled = bootstrap((macs, times), statistic, paired=True, vectorized=False, n_resamples=RESAMPLES,
                      confidence_level=CONFIDENCE, method="percentile", random_state=seed)  # fmt: skip
    interval = resampled.confidence_interval
    return Correlation(statistic(macs, times), float(interval.low), float(interval.high))


def inversions(table: pd.DataFrame) -> tuple[Inversion, ...]:
    """Pairs in which fewer MACs take longer.

    Beyond the noise: the references' intervals, each widened by the model's own repeat error, do not touch.

    Args:
        table: as ``validation_table`` makes it, one row a model.
    """
    pairs = []
    for _, few in table.iterrows():
        for _, many in table.iterrows():
            if few["macs"] >= many["macs"]:
                continue
            low = few["reference_low_s"] * (1 - abs(few["repeat_error"]))
            high = many["reference_high_s"] * (1 + abs(many["repeat_error"]))
            if low > high:
                pairs.append(Inversion(few["model"], many["model"], float(few["macs"] / many["macs"]),
                                       float(few["reference_s"] / many["reference_s"])))  # fmt: skip
    return tuple(pairs)
