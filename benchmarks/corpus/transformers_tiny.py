"""Builds a small model of any transformers architecture, with inputs that it takes."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import torch

# Sizes that are set where a config has the attribute. Widths divide by the numbers of heads.
DEPTH = dict.fromkeys(
    ("num_hidden_layers", "num_layers", "n_layer", "n_layers", "encoder_layers", "decoder_layers", "depth",
     "num_encoder_layers", "num_decoder_layers", "vision_layers", "num_query_layers"), 2
)  # fmt: skip
WIDTH = {
    "hidden_size": 64, "d_model": 64, "n_embd": 64, "embed_dim": 64, "dim": 64, "embedding_size": 64,
    "intermediate_size": 96, "d_ff": 96, "n_inner": 96, "ffn_dim": 96, "encoder_ffn_dim": 96, "decoder_ffn_dim": 96,
    "moe_intermediate_size": 32, "num_attention_heads": 4, "num_key_value_heads": 2, "n_head": 4, "n_heads": 4,
    "num_heads": 4, "encoder_attention_heads": 4, "decoder_attention_heads": 4, "head_dim": 16, "d_kv": 16,
    "num_experts": 4, "num_local_experts": 4, "n_routed_experts": 4, "num_experts_per_tok": 2,
}  # fmt: skip
VOCABULARY = {"vocab_size": 1024}
PARTS = ("text_config", "vision_config", "audio_config", "encoder", "decoder", "backbone_config", "thinker_config")
TOKENS = 16


def _shrink(config: Any, sizes: dict[str, int], *, nested: bool = True) -> None:  # noqa: ANN401
    for name, size in sizes.items():
        value = getattr(config, name, None)
        if isinstance(value, int) and not isinstance(value, bool) and value > size:
            try:
                setattr(config, name, size)
            except (AttributeError, NotImplementedError, ValueError, TypeError):
                continue
    kinds = getattr(config, "layer_types", None)
    if isinstance(kinds, list) and isinstance(getattr(config, "num_hidden_layers", None), int):
        config.layer_types = kinds[: config.num_hidden_layers]
    vocabulary = getattr(config, "vocab_size", None)
    if isinstance(vocabulary, int):
        for token in ("pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id"):
            value = getattr(config, token, None)
            if isinstance(value, int) and value >= vocabulary:
                setattr(config, token, 1)
    for part in PARTS if nested else ():
        inner = getattr(config, part, None)
        if hasattr(inner, "to_dict"):
            _shrink(inner, sizes)


def _models(model_type: str, failures: list[str]) -> Iterator[torch.nn.Module]:
    from transformers import CONFIG_MAPPING, AutoModel

    for sizes in (DEPTH | WIDTH | VOCABULARY, DEPTH | VOCABULARY, DEPTH):
        try:
            config = CONFIG_MAPPING[model_type]()
            _shrink(config, sizes)
            with torch.device("meta"):
                small = AutoModel.from_config(config)
            if sum(parameter.numel() for parameter in small.parameters()) > 4e8:
                continue
            yield AutoModel.from_config(config).eval()
        except Exception as error:  # a combination that this architecture does not have
            failures.append(f"{type(error).__name__}: {str(error)[:150]}")


def _number(config: Any, name: str, default: int) -> int:  # noqa: ANN401
    for one in (config, *(getattr(config, part, None) for part in PARTS)):
        value = getattr(one, name, None)
        if isinstance(value, (list, tuple)) and value:
            value = value[0]
        if isinstance(value, int):
            return value
    return default


def _inputs(model: torch.nn.Module) -> Iterator[dict[str, torch.Tensor]]:
    """Inputs to try: by the names that the forward takes."""
    config: Any = model.config
    names = list(inspect.signature(model.forward).parameters)
    ids = torch.randint(3, min(_number(config, "vocab_size", 100), 100), (1, TOKENS))
    channels, side = _number(config, "num_channels", 3), _number(config, "image_size", 224)
    mels, length = _number(config, "num_mel_bins", 80), 2 * _number(config, "max_source_positions", 1500)
    text = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    if "bbox" in names:
        text["bbox"] = torch.zeros(1, TOKENS, 4, dtype=torch.long)
    image = {"pixel_values": torch.randn(1, channels, side, side)}
    decoder = {"decoder_input_ids": ids} if "decoder_input_ids" in names else {}
    waveform = {"input_values": torch.randn(1, 16000)}
    tries: list[dict[str, torch.Tensor]] = [
        text | decoder, image, text | image, image | decoder, waveform | decoder,
        {"input_features": torch.randn(1, mels, length)} | decoder,
        {"input_features": torch.randn(1, 100, mels)} | decoder, {"input_values": torch.randn(1, 200, mels)},
        {"input_values": torch.randn(1, 1, 16000)}, {"pixel_values": torch.randn(1, channels, 224, 224)},
        {"pixel_values": torch.randn(1, 8, channels, side, side)},
        {"pixel_values_videos": torch.randn(1, 8, channels, side, side)},
        {"input_ids": ids}, {"inputs": torch.randint(3, 100, (1, 2048))}, {"past_values": torch.randn(1, 512, 1)},
    ]  # fmt: skip
    yield from (one for one in tries if set(one) - {"attention_mask"} <= set(names) or "kwargs" in names)


def build(model_type: str) -> tuple[torch.nn.Module, dict[str, torch.Tensor]]:
    """A small model of an architecture, with inputs that it took in one real run.

    Args:
        model_type: as in transformers' configs, such as "bart".

    Raises:
        ValueError: no small config can be built, or no input is taken.
    """
    failures: list[str] = []
    for model in _models(model_type, failures):
        for inputs in _inputs(model):
            try:
                with torch.inference_mode():
                    model(**inputs)
            except Exception as error:  # not the input of this architecture
                failures.append(f"{type(error).__name__}: {str(error)[:150]}")
            else:
                return model, inputs
    raise ValueError(failures[0] if failures else "too large")
