"""What a test may not have meant, or does not show: pytest lists it, and fails the test with ``-W error::CATEGORY``.

PYTEST_DONT_REWRITE: it has no asserts.
"""

from __future__ import annotations

import pytest


class OpclockWarning(pytest.PytestWarning):
    """Any of them."""


class UndecidedWarning(OpclockWarning):
    """A model is slower than its baseline allows, but the machine may be the cause."""


class UnusedWarning(OpclockWarning):
    """A test asks for ``opclock_bench``, or has its marker, and measures nothing."""
