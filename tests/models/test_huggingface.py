"""Models of transformers by a folder with a configuration: nothing is downloaded."""

from __future__ import annotations

import importlib.util
import json
import socket

import pytest
import torch

from opclock import trace
from opclock.errors import ModelError
from opclock.models.loading import load_model

pytest.importorskip("transformers")
if importlib.util.find_spec("torchvision"):  # transformers imports it, and its compiled operators may be missing
    import benchmarks.torchvision_operators  # noqa: F401
TEXT = {"vocab_size": 50, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16,
        "max_position_embeddings": 40}  # fmt: skip
MODELS = {
    "text": ({"model_type": "bert", "architectures": ["BertForSequenceClassification"], **TEXT},
             {"input_ids": (1, 38), "attention_mask": (1, 38)}),
    "image": ({"model_type": "vit", "architectures": ["ViTForImageClassification"], "image_size": 32, "patch_size": 16,
               **TEXT}, {"pixel_values": (1, 3, 32, 32)}),
    "both sides": ({"model_type": "t5", "architectures": ["T5ForConditionalGeneration"], "vocab_size": 50,
                    "d_model": 16, "d_kv": 8, "d_ff": 16, "num_layers": 1, "num_heads": 2},
                   {"input_ids": (1, 128), "attention_mask": (1, 128), "decoder_input_ids": (1, 128)}),
    "no architecture": ({"model_type": "bert", **TEXT}, {"input_ids": (1, 38), "attention_mask": (1, 38)}),
}  # fmt: skip


def folder(path, configuration):
    (path / "config.json").write_text(json.dumps(configuration))
    return f"hf:{path}"


@pytest.mark.parametrize("kind", MODELS)
def test_a_folder_with_a_configuration_is_a_model_with_inputs_for_its_task(kind, tmp_path):
    configuration, shapes = MODELS[kind]
    model = load_model(folder(tmp_path, configuration))
    assert model.name == tmp_path.name
    assert {name: tuple(tensor.shape) for name, tensor in model.inputs.items()} == shapes
    recorded = trace(model.module, model.inputs, name=model.name, real=False)
    assert any(traced.call.operator == "aten::linear" for traced in recorded.calls)


def test_the_configurations_dtype_is_the_models(tmp_path):
    model = load_model(folder(tmp_path, {**MODELS["image"][0], "dtype": "bfloat16"}))
    assert model.inputs["pixel_values"].dtype == next(model.module.parameters()).dtype == torch.bfloat16


def test_an_unknown_architecture_is_told(tmp_path):
    with pytest.raises(ModelError, match=r"architecture BertForEverything, which transformers .* has not"):
        load_model(folder(tmp_path, {**MODELS["text"][0], "architectures": ["BertForEverything"]}))


def test_a_name_without_a_network_is_told_at_once(monkeypatch):
    """The hub's library tried again and again for half a minute."""
    from huggingface_hub import constants

    def no_network(*_arguments):
        raise OSError(101, "Network is unreachable")

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr("opclock.models.huggingface.getproxies", dict)
    monkeypatch.setattr(socket, "create_connection", no_network)
    with pytest.raises(ModelError, match=r"not in the cache, and the hub cannot be reached .*Network is unreachable"):
        load_model("hf:no-such-owner/no-such-model")
