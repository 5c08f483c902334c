"""Small models of the kinds that people report, and the files of reports where a checkout has them beside it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from helpers import opclock
from torch import nn

from opclock.errors import OpclockError
from opclock.models.loading import load_model
from opclock.tracing.macs import model_macs, uncounted
from opclock.tracing.operator_classes import class_of
from opclock.tracing.recorder import trace

CASES = Path(__file__).parents[3] / "shared" / "cases"

# Files and factories that are traced: MACs by hand, or None where another test has them.
TRACED = {
    "01_rope_cache.py:make": 2 * 128 * 64 * 64 + 128 * 64 * 128,
    "06_lstm_cells.py:make": 10 * 2 * (4 * 256 * 384 + 3 * 256 * 512 + 256 * 512),
    "07_zero_macs.py:make": 21_053_440,
    "07_zero_macs.py:pair": 128 * 32 * 64 * 64,
    "09_embedding_bag.py:make": 20 * 32,
    "11_vae.py:make": 8 * (64 * 32 + 16 * 64),
    "12_int_division.py:make": 16 * 4 * 4,
    "13_autocast.py:make": 62 * 62 * 16 * 27 + 60 * 60 * 16 * 16 * 9,
    "15_script.py:frozen": 8 * 900 * 27 + 8 * 900 * 10,
    "16_quantized.py:dynamic": 4 * (64 * 128 + 128 * 10),
    "19_encoding.py:mapping": 32 * 2,
    "19_encoding.py:both": 32 * 2,
    "19_encoding.py:onedict": 32 * 2,
    "21_lazy.py:make": 14 * 14 * 8 * 27 + 14 * 14 * 8 * 10,
    "22_meta.py:make": 2 * 4096 * 4096,
    "23_forces.py:make": 20 * 2 * (3 * 32 + 32),
    "24_numpy.py:make": 4 * (16 * 16 + 16 * 4),
    "24_numpy.py:tolist": 4 * 16 * 16,
    "26_generator.py:yields": 4 * 64 * 64,
    "27_noise.py:make": 2 * 64 * 64,
    "28_padding_mask.py:make": 2 * (20 * (32 * 96 + 32 * 32 + 2 * 32 * 64) + 2 * 2 * 10 * 10 * 32),
    "28_padding_mask.py:mha": 20 * (32 * 96 + 32 * 32) + 2 * 2 * 10 * 10 * 32,
    "29_compiled.py:whole": 4 * 32 * 32,
    "29_compiled.py:part": 4 * 32 * 32,
    "30_cond.py:make": 4 * 32 * 32,
    "31_args_exit.py:make": 64,
    "32_many.py:make": None,
    "33_scalar.py:empty": 0,
    "35_linalg.py:make": None,
    "36_grads_checkpoint.py:make": 2 * 4 * 32 * 32,
    "37_more.py:vmap": 8 * 16 * 16,
    "37_more.py:parallel": 8 * 16 * 16,
    "38_marks.py:make": 8 * 16 * 16,
    "39_inplace_views.py:make": 8 * 4 * 30 * 3,
    "pkg/20_lazy_import.py:sibling": 64,
    "pkg/20b_path.py:far": 64,
}
# Those that one line refuses.
REFUSED = {
    "02_kv_cache.py:make": r"does not do the same twice.*float32\[1x2x64\].*reset",
    "03_random_depth.py:make": "does not do the same twice.*draws random numbers",
    "04_every_other.py:make": "does not do the same twice.*frame",
}


@pytest.mark.skipif(not CASES.is_dir(), reason="the files of reports are not beside this checkout")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", [*TRACED, *REFUSED])
def test_reported_cases(case, monkeypatch):
    monkeypatch.setattr("sys.path", [*sys.path])
    if case == "pkg/20b_path.py:far" and not (CASES / "pkg/lib/far.py").is_file():
        pytest.skip("without its folder")
    loaded = load_model(f"{CASES}/{case}")
    if case in REFUSED:
        with pytest.raises(OpclockError, match=REFUSED[case]) as caught:
            trace(loaded.module, loaded.inputs, name=loaded.name)
        assert "\n" not in str(caught.value)
        return
    traced = trace(loaded.module, loaded.inputs, name=loaded.name)
    assert traced.calls
    assert TRACED[case] in (None, model_macs(traced))


class Cells(nn.Module):
    """Recurrent cells stepped by hand."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.LSTMCell(3, 4), nn.GRUCell(4, 4), nn.RNNCell(4, 4)

    def forward(self, x):
        h = c = g = r = x.new_zeros(x.shape[1], 4)
        for row in x:
            h, c = self.a(row, (h, c))
            g = self.b(h, g)
            r = self.c(g, r)
        return r


def test_cells_stepped_by_hand_are_counted_and_recurrent():
    traced = trace(Cells(), (torch.randn(5, 2, 3),))
    # 5 steps of 2 rows: 4 gates of 4 from 3 + 4 numbers, 3 gates of 4 from 4 + 4, one of 4 from 4 + 4
    assert model_macs(traced) == 5 * 2 * (4 * 4 * 7 + 3 * 4 * 8 + 4 * 8)
    assert {class_of(one.call) for one in traced.calls if "cell" in one.call.name} == {"recurrent"}


class Products(nn.Module):
    """Products that are called neither conv, linear nor matmul."""

    def __init__(self):
        super().__init__()
        self.pair = nn.Bilinear(4, 4, 3)
        self.core, self.out = nn.Parameter(torch.randn(4, 4)), nn.Parameter(torch.randn(3, 2))

    def forward(self, x):  # of 6 rows
        y = torch.tensordot(x, self.core, dims=([1], [0]))  # 6 * 4 * 4
        z = self.pair(x, y)  # 6 * 3 * 4 * 4
        far = torch.cdist(x, y)  # 6 * 6 * 4
        acc = torch.zeros(6, 2).addmm_(z, self.out)  # 6 * 3 * 2
        chain = torch.linalg.multi_dot([far, x, self.core])  # 6 * 4 * 4 after 6 * 6 * 4
        return acc.sum() + chain.sum() + torch.outer(x[:, 0], x[:, 1]).sum() + torch.inner(x, y).sum()


def test_products_of_other_names_are_counted():
    traced = trace(Products(), (torch.randn(6, 4),))
    # outer and inner: 6 * 6 and 6 * 6 * 4
    by_hand = 96 + 288 + 144 + 36 + (144 + 96) + 36 + 144
    assert model_macs(traced) == by_hand
    assert uncounted(traced) == {}


def test_a_file_that_reads_the_command_line_is_one_line(tmp_path):
    file = tmp_path / "reads.py"
    file.write_text("import argparse\np = argparse.ArgumentParser(); p.add_argument('width')\nargs = p.parse_args()\n")
    done = opclock("trace", f"{file}:make")
    assert done.returncode == 2
    assert "command line" in done.stderr
    assert "Traceback" not in done.stderr
