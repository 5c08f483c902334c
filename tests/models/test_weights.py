"""Weights that cannot be loaded end in one line that names the file."""

from __future__ import annotations

import pytest
import torch
from helpers import SMALL

from opclock.errors import ModelError
from opclock.models.loading import load_model


def test_a_text_file_as_weights_is_named_as_such(tmp_path):
    """It was called weights that "do not fit: 101"."""
    (tmp_path / "notes.txt").write_text("examples of weights\n")
    with pytest.raises(ModelError, match=r"notes.txt is no file of weights"):
        load_model(SMALL, weights=tmp_path / "notes.txt")


def test_weights_of_another_model_do_not_fit(tmp_path):
    torch.save({"other": torch.ones(1)}, tmp_path / "w.pt")
    with pytest.raises(ModelError, match="do not fit"):
        load_model(SMALL, weights=tmp_path / "w.pt")


def test_a_folder_as_weights_cannot_be_read(tmp_path):
    with pytest.raises(ModelError, match="cannot read the weights"):
        load_model(SMALL, weights=tmp_path)
