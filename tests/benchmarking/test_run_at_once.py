"""What an interruption does to steps that run at the same time. No model is run."""

from __future__ import annotations

import threading
import time

import pytest

from opclock.children.process import run_at_once

LIMIT_S = 60.0


def interrupted(step, items, count):
    """Run steps of which one raises KeyboardInterrupt, in a thread that may hang. Returns whether it ended."""
    raised = []

    def run():
        with pytest.raises(KeyboardInterrupt):
            run_at_once(step, items, count)
        raised.append(True)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(LIMIT_S)
    return bool(raised)


def test_steps_that_have_not_begun_do_not_keep_an_interruption_waiting():
    begun = []

    def step(number):
        begun.append(number)
        if number == 0:
            raise KeyboardInterrupt
        time.sleep(0.1)

    assert interrupted(step, range(20), 2)
    assert len(begun) < 20
