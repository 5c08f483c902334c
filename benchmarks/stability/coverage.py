"""Simulates how often the 95 % interval of a median holds the true median, with and without the stopping rule.

    python -m benchmarks.stability.coverage [--trials 1000] [--noise 0.02]

Needs no quiet machine. Rounds have the true median 1. Each cell shows the share of intervals that hold it and half the
median width, as a fraction of the median; with the stopping rule the third number is the median count of rounds.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator

import numpy as np
from scipy.signal import lfilter

from opclock.profiles.statistics import Blocks, Samples, median_interval
from opclock.timing.stopping import FIRST_LOOK, Looks

MOST_ROUNDS = 1000
Draw = Callable[[np.random.Generator, int], Samples]


def autoregressive(correlation: float) -> Draw:
    """First-order autoregressive noise with mean 0 and deviation 1."""

    def draw(random: np.random.Generator, count: int) -> Samples:
        steps = random.normal(size=count)
        steps[1:] *= np.sqrt(1 - correlation**2)
        return np.asarray(lfilter([1.0], [1.0, -correlation], steps))

    return draw


def states(length: int) -> Draw:
    """Noise with deviation 1. A state of the machine lasts this many rounds and has four fifths of the variance."""

    def draw(random: np.random.Generator, count: int) -> Samples:
        begin = random.integers(length)
        state = np.repeat(random.normal(size=count // length + 2), length)[begin : begin + count]
        return np.asarray(np.sqrt(0.8) * state + np.sqrt(0.2) * random.normal(size=count))

    return draw


NOISE: dict[str, Draw] = {
    "independent": autoregressive(0.0),
    **{f"correlation {value}": autoregressive(value) for value in (0.3, 0.6, 0.9, 0.97)},
    **{f"states of {length}": states(length) for length in (5, 6, 10, 20)},
}


def held(draw: Draw, noise: float, trials: int, rounds: int) -> Iterator[tuple[bool, float]]:
    """For each trial: whether the interval of so many rounds holds 1, and half its width."""
    random = np.random.default_rng(rounds)
    for _ in range(trials):
        low, high = median_interval(1 + noise * draw(random, rounds))
        yield low <= 1 <= high, (high - low) / 2


def held_when_stopped(
    draw: Draw, noise: float, trials: int, block: int = 5, *, numbered: bool = False
) -> Iterator[tuple[bool, float, int]]:
    """For each trial: whether the interval holds 1 when sampling stops, half its width, and the rounds until then.

    Args:
        draw: the noise.
        noise: its standard deviation.
        trials: how many.
        block: rounds between two questions whether sampling may stop.
        numbered: whether these rounds have a block number, so that they count as one draw of the machine's state.
    """
    random = np.random.default_rng(block)
    numbers: Blocks | None = np.arange(MOST_ROUNDS) // block if numbered else None
    for _ in range(trials):
        samples, looks, rounds = 1 + noise * draw(random, MOST_ROUNDS), Looks(), FIRST_LOOK
        while rounds < MOST_ROUNDS and not looks.settled(samples[:rounds], _first(numbers, rounds)):
            rounds += block
        rounds = min(rounds, MOST_ROUNDS)
        low, high = median_interval(samples[:rounds], blocks=_first(numbers, rounds))
        yield low <= 1 <= high, (high - low) / 2, rounds


def _first(numbers: Blocks | None, count: int) -> Blocks | None:
    return None if numbers is None else numbers[:count]


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--noise", type=float, default=0.02, help="standard deviation of a round, as a fraction")
    chosen = parser.parse_args()
    for rounds in (12, 30, 60, 200, 700):
        for name, draw in NOISE.items():
            share, width = np.array(list(held(draw, chosen.noise, chosen.trials, rounds))).T
            print(f"{rounds:4} rounds, {name:16} {share.mean():6.1%} ±{np.median(width):.2%}", flush=True)
    for numbered in (False, True):
        for name, draw in NOISE.items():
            trials = held_when_stopped(draw, chosen.noise, chosen.trials, numbered=numbered)
            share, width, rounds_ = np.array(list(trials)).T
            kind = "stopped, blocks of 5" if numbered else "stopped"
            print(f"{kind}, {name:16} {share.mean():6.1%} ±{np.median(width):.2%} {np.median(rounds_):4.0f} rounds",
                  flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
