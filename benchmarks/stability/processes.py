"""Simulates estimates from several processes: which middle is best, and how often its 95 % interval holds.

    python -m benchmarks.stability.processes [--trials 2000]

Needs no quiet machine. Processes take turns block by block. Rounds have noise of 2 % that is correlated by 0.6; the
machine's states last some blocks, deviate by 2 % and are the same for all processes.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
from scipy.signal import lfilter

from opclock.profiles.processes import middle, middle_interval
from opclock.profiles.statistics import Blocks, Samples

IN_BLOCK = 10  # rounds
ROUNDS = 240  # of all processes together
Deviations = Callable[[np.random.Generator, int], Samples]

# How the processes of a model differ: their deviation from the model's own time, which is 1, by process.
LAYOUTS: dict[str, Deviations] = {
    **{
        f"{share:.1%}": lambda random, count, share=share: share * random.normal(size=count)
        for share in (0.007, 0.02, 0.045)
    },
    "two layouts, 12 % apart": lambda random, count: 0.12 * (random.random(count) < 1 / 3) - 0.04,
    "2 %, one of 20 30 % off": lambda random, count: 0.02 * random.normal(size=count)
    + 0.3 * (random.random(count) < 0.05) - 0.015,
}  # fmt: skip
MIDDLES: dict[str, Callable[[Samples, Blocks], float]] = {
    "median of all rounds": lambda rounds, _: float(np.median(rounds)),
    "median of medians": lambda rounds, processes: float(
        np.median([np.median(rounds[processes == number]) for number in np.unique(processes)])
    ),
    "mean of medians": lambda rounds, processes: float(middle(rounds, processes)),
}


def autoregressive(random: np.random.Generator, correlation: float, count: int) -> Samples:
    """First-order autoregressive noise with mean 0 and deviation 1."""
    steps = random.normal(size=count)
    steps[1:] *= np.sqrt(1 - correlation**2)
    return np.asarray(lfilter([1.0], [1.0, -correlation], steps))


def turns(count: int) -> tuple[Blocks, Blocks]:
    """By round: the number of its block and of its process."""
    blocks = np.arange(ROUNDS) // IN_BLOCK
    return blocks, blocks % count + 1


def rounds_of(random: np.random.Generator, layout: Deviations, count: int, states: Samples) -> Samples:
    """The rounds of processes that take turns, while the machine is in these states (by block)."""
    blocks, processes = turns(count)
    own = 1 + layout(random, count)[processes - 1]
    return own * (1 + states[blocks]) * (1 + 0.02 * autoregressive(random, 0.6, ROUNDS))


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=2000)
    trials = parser.parse_args().trials
    random = np.random.default_rng(0)
    for name, layout in LAYOUTS.items():
        for count in (1, 2, 3, 5):
            ratios: dict[str, list[float]] = {one: [] for one in MIDDLES}
            held, widths = [], []
            blocks, processes = turns(count)
            for _ in range(trials):
                states = 0.02 * autoregressive(random, 0.7, int(blocks[-1]) + 1)
                estimate, reference = (rounds_of(random, layout, count, states) for _ in range(2))
                for one, function in MIDDLES.items():
                    ratios[one].append(np.log(function(estimate, processes) / function(reference, processes)))
                low, high = middle_interval(estimate, blocks=blocks, processes=processes)
                held.append(low <= 1 <= high)
                widths.append((high - low) / 2)
            errors = ", ".join(f"{one} {np.sqrt(np.mean(np.square(values))):.2%}" for one, values in ratios.items())
            print(f"{name}, {count} processes: error against {count} others: {errors}; "
                  f"interval holds {np.mean(held):.1%}, ±{np.median(widths):.2%}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
