"""Each model of one validation meets PyTorch's settings as it would alone."""

from __future__ import annotations

import pytest
import torch
from helpers import opclock

MODEL = """
import torch
{setting}
class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(4, 4)
    def forward(self, x):
        assert torch.get_default_dtype() == torch.{dtype}
        assert torch.is_autocast_enabled("cpu") is {autocast}
        return self.linear(x)
def make():
    return Net(), torch.randn(2, 4)
"""
FILES = {
    "double": {"setting": "torch.set_default_dtype(torch.float64)", "dtype": "float64", "autocast": False},
    "cast": {"setting": "torch.set_autocast_enabled('cpu', True)", "dtype": "float32", "autocast": True},
    "plain": {"setting": "", "dtype": "float32", "autocast": False},
}


@pytest.mark.usefixtures("short_sampling", "quick_ceilings")
def test_a_model_does_not_meet_the_settings_of_another(tmp_path, monkeypatch):
    """The second model had the first one's default dtype, and ran under its autocast."""
    monkeypatch.setattr("opclock.validation.session.MAX_S", 0.05)
    for name, parts in FILES.items():
        (tmp_path / f"{name}.py").write_text(MODEL.format(**parts))
    done = opclock("validate", *(f"{tmp_path / name}.py:make" for name in FILES), "--threads", 1)
    assert done.returncode == 0, done.stderr
    assert torch.get_default_dtype() == torch.float32
    assert not torch.is_autocast_enabled("cpu")
