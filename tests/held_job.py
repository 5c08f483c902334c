"""A job that a board of a small farm has begun, for tests."""

from __future__ import annotations

import threading

from benchmarks.farm.small_farm import events, job, lines, wait_until


def outcome_of(farm, one):
    ((_, outcome),) = farm.run([one])
    return outcome


class Held:
    """A job that a board has begun, and that ends once it is let go."""

    def __init__(self, farm, ledger, **options):
        self._ledger = ledger
        self.outcomes = []
        self._thread = threading.Thread(
            target=lambda: self.outcomes.append(outcome_of(farm, job("answer", ledger, "held", **options)))
        )
        self._thread.start()
        self.wait_for("begin")
        self.board = lines(ledger)[0].split()[1]

    def wait_for(self, *noted):
        wait_until(lambda: events(self._ledger) == list(noted))

    def outcome(self):
        self._ledger.with_name("go").touch()
        self._thread.join()
        return self.outcomes[0]
