"""The models of the quick cut and of the validation."""

from __future__ import annotations

CUT: tuple[tuple[str, str], ...] = ()
VALIDATED: tuple[tuple[str, str], ...] = ()
