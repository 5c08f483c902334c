from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def profile_path(tmp_path: Path) -> Path:
    return tmp_path / "board.sqlite"
