from __future__ import annotations

import numpy as np
import pytest
import torch

from opclock import trace
from opclock.errors import EstimateError, ModelError, OptionError, TraceError
from opclock.estimation.baselines import mac_regression
from opclock.models.cifar100 import DEVIATION, MEAN, RECORD_BYTES, read_images
from opclock.models.loading import load_model
from opclock.models.random_inputs import InputSpec, parse_input, random_inputs
from opclock.prediction.ceilings import buffer_bytes


def test_shapes():
    assert parse_input("1x3x32x32") == (InputSpec((1, 3, 32, 32)),)
    assert parse_input("7") == (InputSpec((7,)),)
    assert parse_input("1x2,3x4x5") == (InputSpec((1, 2)), InputSpec((3, 4, 5)))


def test_dtypes_and_names_of_inputs():
    assert parse_input("1x16:int64") == (InputSpec((1, 16), None, torch.int64),)
    assert parse_input("input_ids=1x128:int64, mask=1x128") == (
        InputSpec((1, 128), "input_ids", torch.int64),
        InputSpec((1, 128), "mask"),
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "1x",
        "1x-3",
        "1.5x3",
        "1 x 3",
        "1x3;2",
        "01x3",
        "1,,2",
        "=1x3",
        "1x3:",
        "a b=1x3",
        "a=1,a=2",
        "1x3:int6",
    ],
)
def test_nonsense_shapes(text):
    with pytest.raises(OptionError, match="input_text="):
        parse_input(text)


def test_random_inputs_fit_the_model():
    net = torch.nn.Sequential(torch.nn.Embedding(7, 4), torch.nn.Linear(4, 2)).to(torch.bfloat16)
    ids, image = random_inputs("64x16:int64,2x4", net)
    assert ids.dtype == torch.int64
    assert 0 <= int(ids.min()) < int(ids.max()) < 7
    assert image.dtype == torch.bfloat16
    named = random_inputs("ids=1x4:int64,attention_mask=1x4:int64,keep=4:bool", net)
    assert named["attention_mask"].tolist() == [[1] * 4]
    assert named["keep"].tolist() == [True] * 4
    both = random_inputs("1x4:int64,mask=1x4", net)
    assert len(both.args) == 1
    assert list(both.kwargs) == ["mask"]


MODEL = """
import torch
class Net(torch.nn.Module):
    def forward(self, ids, mask=None):
        return (ids if mask is None else ids * mask).float()
class One(torch.nn.Module):
    def forward(self, batch):
        return batch["a"] + batch["b"]
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "net.py"
    path.write_text(MODEL)
    return str(path)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("ids=1x3:int64,msk=1x3", "got an unexpected keyword argument 'msk'"),
        ("mask=1x3", "missing a required argument: 'ids'"),
        ("1x3:int64,1x3,1x3", "too many positional arguments"),
        ("1x3,ids=1x3", "multiple values for argument 'ids'"),
    ],
)
def test_inputs_that_the_forward_does_not_take_are_told_with_those_that_it_takes(file, text, why):
    """Its forward raised, or got a mapping, and the user was told to check that the input fits the model."""
    said = rf"input_text='{text}': the forward of Net takes ids, mask \(optional\) \({why}\); write each as"
    with pytest.raises(OptionError, match=said):
        load_model(f"{file}:Net", input_text=text)


def test_names_of_a_mapping_that_is_the_only_argument(file):
    model = load_model(f"{file}:One", input_text="a=1x3,b=1x3")
    assert len(trace(model.module, model.inputs).calls) == 1
    wrong = load_model(f"{file}:One", input_text="a=1x3,c=1x3")
    with pytest.raises(TraceError, match="its forward takes batch, and was given one mapping with a, c"):
        trace(wrong.module, wrong.inputs)


def test_inputs_of_torchscript_are_checked_too(tmp_path):
    torch.jit.save(torch.jit.script(torch.nn.Linear(3, 2)), tmp_path / "net.pt")
    with pytest.raises(OptionError, match=r"the forward of .* takes input "):
        load_model(str(tmp_path / "net.pt"), input_text="1x3,1x3")


def binary(path, images):
    records = np.concatenate([np.zeros((len(images), 2), np.uint8), images.reshape(len(images), -1)], axis=1)
    path.write_bytes(records.tobytes())


def test_cifar_images_are_read_channel_by_channel(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (3, 3, 32, 32), dtype=np.uint8)
    binary(tmp_path / "test.bin", images)
    read = read_images(tmp_path, 2)
    assert read.shape == (2, 3, 32, 32)
    assert read.dtype == np.float32
    for channel in range(3):
        wanted = (images[1, channel] / 255 - MEAN[channel]) / DEVIATION[channel]
        np.testing.assert_allclose(read[1, channel], wanted, rtol=1e-4, atol=1e-5)


def test_cifar_folders_that_do_not_fit(tmp_path):
    with pytest.raises(ModelError, match=r"no test\.bin"):
        read_images(tmp_path, 1)
    (tmp_path / "test").write_bytes(b"pickled")
    with pytest.raises(ModelError, match="pickled"):
        read_images(tmp_path, 1)
    (tmp_path / "test.bin").write_bytes(b"\0" * (RECORD_BYTES + 1))
    with pytest.raises(ModelError, match="no whole number"):
        read_images(tmp_path, 1)
    (tmp_path / "test.bin").write_bytes(b"\0" * RECORD_BYTES)
    with pytest.raises(ModelError, match="holds 1 images, 2 are needed"):
        read_images(tmp_path, 2)


def test_regression_leaves_the_judged_model_out():
    # The others lie on time = 2 * macs + 1; the third is far off and must not pull its own line.
    assert mac_regression([1, 2, 3, 4], [3, 5, 100, 9])[2] == pytest.approx(7)


def test_no_line_goes_through_a_contended_model():
    """On a busy machine other models were predicted to take a negative time."""
    contended = [False, False, True, False]
    assert mac_regression([1, 2, 3, 4], [3, 5, 100, 9], contended) == pytest.approx([3, 5, 7, 9])
    assert mac_regression([1, 2, 3], [3, 5, 100], [False, False, True]) == [None, None, pytest.approx(7)]


def test_regression_needs_three_models_that_differ():
    assert mac_regression([1, 2], [1, 2]) == [None, None]
    assert mac_regression([5, 5, 5], [1, 2, 3]) == [None, None, None]
    with pytest.raises(EstimateError, match="2 MAC counts for 1"):
        mac_regression([1, 2], [1])


def test_buffers_are_powers_of_two_within_bounds():
    assert buffer_bytes(10) == 1 << 20
    assert buffer_bytes((1 << 22) + 1) == 1 << 23
    assert buffer_bytes(1 << 22) == 1 << 22
    assert buffer_bytes(1 << 40) == 1 << 28


def test_a_model_is_the_same_each_time(tmp_path):
    """A quantised model had other scales in each process: what was measured was not found again."""
    path = tmp_path / "random.py"
    path.write_text("import torch\ndef make(): return torch.nn.Linear(4, 4), torch.randn(1, 4)\n", encoding="utf-8")
    before = torch.get_rng_state()
    first, second = (load_model(f"{path}:make") for _ in range(2))
    assert torch.equal(first.module.weight, second.module.weight)
    assert torch.equal(first.inputs[0], second.inputs[0])
    assert torch.equal(torch.get_rng_state(), before)
