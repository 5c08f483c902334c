"""How much a pool of a sweep is sampled."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Amount:
    """How much a pool is sampled. It is known before the first round: looking at the samples lowers the coverage."""

    blocks: int
    block_s: float  # seconds of a block, about
    fewest: int  # rounds in a block
    most: int

    def in_block(self, round_s: float) -> int:
        """Rounds in a block of a pool whose rounds take so many seconds."""
        return min(self.most, max(self.fewest, int(self.block_s / round_s)))


# A kernel's own noise is 5 to 15 % from round to round, and most of it is new in each round: 300 rounds know the median
# to 2 %. Twenty blocks show how the machine's states differ.
FOR_ROWS = Amount(blocks=20, block_s=0.25, fewest=3, most=15)
# Predictors learn from thousands of kernels. After a change of pools, the host and short kernels are slower for about
# five rounds, and each change costs time: 10 blocks of 3 rounds took twice as long, and the host 13 % longer.
FOR_PREDICTORS = Amount(blocks=4, block_s=0.25, fewest=8, most=8)
# Of a random network; each block warms up first. More networks say more than more rounds.
FOR_NETWORKS = Amount(blocks=4, block_s=0.1, fewest=3, most=10)
