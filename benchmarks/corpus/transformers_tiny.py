"""Builds a small model of any transformers architecture, with inputs that it takes."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import torch

from benchmarks.corpus.transformers_inputs import INPUTS
from benchmarks.corpus.transformers_settings import NOT_BUILT, PARTS, SETTINGS

# Sizes that are set where a config has a larger one. Widths divide by the numbers of heads.
DEPTH = dict.fromkeys(
    ("num_hidden_layers", "num_layers", "n_layer", "n_layers", "encoder_layers", "decoder_layers", "depth",
     "num_encoder_layers", "num_decoder_layers", "vision_layers", "num_query_layers"), 2
)  # fmt: skip
WIDTH = {
    "hidden_size": 64, "d_model": 64, "n_embd": 64, "embed_dim": 64, "dim": 64, "embedding_size": 64,
    "intermediate_size": 96, "d_ff": 96, "n_inner": 96, "ffn_dim": 96, "encoder_ffn_dim": 96, "decoder_ffn_dim": 96,
    "moe_intermediate_size": 32, "num_attention_heads": 4, "num_key_value_heads": 2, "n_head": 4, "n_heads": 4,
    "num_heads": 4, "encoder_attention_heads": 4, "decoder_attention_heads": 4, "head_dim": 16, "d_kv": 16,
    "num_experts": 4, "num_local_experts": 4, "n_routed_experts": 4, "num_experts_per_tok": 2, "n_group": 1,
    "topk_group": 1,
}  # fmt: skip
VOCABULARY = {"vocab_size": 1024}
TOKENS = 16
MOST_PARAMETERS = 4e8


def _parts(config: Any) -> dict[str, Any]:  # noqa: ANN401
    """The configurations inside a configuration, by name."""
    return {name: part for name, part in vars(config).items() if hasattr(part, "to_dict")}


def _value(config: Any, name: str) -> Any:  # noqa: ANN401
    try:
        return getattr(config, name, None)
    except Exception:  # one that differs between layers
        return None


def _set(config: Any, name: str, value: Any) -> None:  # noqa: ANN401
    with suppress(AttributeError, NotImplementedError, ValueError, TypeError):  # one that follows from others
        setattr(config, name, value)


def _smaller(config: Any, sizes: dict[str, int]) -> dict[str, int]:  # noqa: ANN401
    """The sizes that are larger in a configuration."""
    values = {name: _value(config, name) for name in sizes}
    if getattr(config, "qk_rope_head_dim", None):  # latent attention: the width of a head has two parts
        sizes = {**sizes, "num_key_value_heads": sizes.get("num_attention_heads", 0)}
        values.pop("head_dim", None)
    return {
        name: sizes[name]
        for name, value in values.items()
        if isinstance(value, int) and not isinstance(value, bool) and value > sizes[name] > 0
    }


def _arguments(config: Any, sizes: dict[str, int]) -> dict[str, Any]:  # noqa: ANN401
    """What makes a configuration small when it is constructed, so that what it derives from sizes fits."""
    parts = {name: {"model_type": part.model_type, **_arguments(part, sizes)} for name, part in _parts(config).items()}
    return _smaller(config, sizes) | parts


def _merged(sizes: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """Arguments with own ones in their place, also in the configurations inside."""
    inside = {name: _merged(sizes[name], part) for name, part in own.items() if isinstance(sizes.get(name), dict)}
    return sizes | own | inside


def _one_of_each(config: Any) -> dict[str, Any]:  # noqa: ANN401
    """A layer of each type, where the first layers are of one type alone."""
    types = list(dict.fromkeys(getattr(config, "layer_types", None) or ()))
    whole = list(dict.fromkeys(type(config)().layer_types)) if types else []
    inside = {name: _one_of_each(part) for name, part in _parts(config).items()}
    return inside | ({"layer_types": whole, "num_hidden_layers": len(whole)} if len(whole) > len(types) else {})


def _shrink(config: Any, sizes: dict[str, int]) -> None:  # noqa: ANN401
    """Make a configuration small that cannot be constructed small."""
    for name, size in _smaller(config, sizes).items():
        _set(config, name, size)
    kinds = getattr(config, "layer_types", None)
    if isinstance(kinds, list) and isinstance(getattr(config, "num_hidden_layers", None), int):
        _set(config, "layer_types", kinds[: config.num_hidden_layers])
    for part in _parts(config).values():
        _shrink(part, sizes)


def _fix_tokens(config: Any) -> None:  # noqa: ANN401
    """Special tokens inside the vocabulary."""
    vocabulary = getattr(config, "vocab_size", None)
    for token in ("pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id"):
        value = getattr(config, token, None)
        if isinstance(vocabulary, int) and isinstance(value, int) and value >= vocabulary:
            setattr(config, token, 1)
    for part in _parts(config).values():
        _fix_tokens(part)


def _configs(model_type: str, failures: list[str]) -> Iterator[Any]:
    """Configurations to try, the smallest first."""
    from transformers import CONFIG_MAPPING

    made = CONFIG_MAPPING[model_type]
    own = SETTINGS.get(model_type, {})
    for sizes in (DEPTH | WIDTH | VOCABULARY, WIDTH | VOCABULARY, DEPTH | VOCABULARY, DEPTH):
        try:
            small = _merged(_arguments(made(**own), sizes), own)
            yield made(**small)
            yield made(**_merged(small, _one_of_each(made(**small))))
        except Exception as error:  # a combination that this architecture does not have
            failures.append(f"{type(error).__name__}: {str(error)[:150]}")
        config = made(**own)
        _shrink(config, sizes)
        yield config


def _models(model_type: str, failures: list[str]) -> Iterator[torch.nn.Module]:
    from transformers import AutoModel

    for config in _configs(model_type, failures):
        try:
            _fix_tokens(config)
            with torch.device("meta"):
                small = AutoModel.from_config(config)
            parameters = sum(parameter.numel() for parameter in small.parameters())
            if parameters > MOST_PARAMETERS:
                failures.append(f"too large: {parameters:.1e} parameters")
                continue
            model = AutoModel.from_config(config).eval()
            yield getattr(model, PARTS[model_type]) if model_type in PARTS else model
        except Exception as error:  # a combination that this architecture does not have
            failures.append(f"{type(error).__name__}: {str(error)[:150]}")


def _number(config: Any, name: str, default: int) -> int:  # noqa: ANN401
    for one in (config, *_parts(config).values()):
        value = _value(one, name)
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
        {"input_values": torch.randn(1, _number(config, "max_length", 200), mels)},
        {"input_features": torch.randn(1, mels, length), "input_features_mask": torch.ones(1, length).long()},
        {"input_values": torch.randn(1, 1, 16000)}, {"pixel_values": torch.randn(1, channels, 224, 224)},
        {"pixel_values": torch.randn(1, 8, channels, side, side)},
        {"pixel_values_videos": torch.randn(1, 8, channels, side, side)}, *_patches(config, names),
        {"input_ids": ids}, {"inputs": torch.randint(3, 100, (1, 2048))}, {"past_values": torch.randn(1, 512, 1)},
    ]  # fmt: skip
    yield from (one for one in tries if set(one) - {"attention_mask"} <= set(names) or "kwargs" in names)


def _patches(config: Any, names: list[str]) -> Iterator[dict[str, torch.Tensor]]:  # noqa: ANN401
    """An image as flat patches with its numbers of frames, rows and columns of them."""
    grid = next((name for name in ("grid_thw", "image_grid_thw") if name in names), "")
    if not grid or "input_ids" in names:
        return
    frames, rows, columns = 1, 8, 8
    patch, channels = _number(config, "patch_size", 14), _number(config, "in_channels", 3)
    for depth in (_number(config, "temporal_patch_size", 1), 1):
        flat = torch.randn(frames * rows * columns, channels * depth * patch**2)
        yield {names[0]: flat, grid: torch.tensor([[frames, rows, columns]])}


def build(model_type: str) -> tuple[torch.nn.Module, dict[str, torch.Tensor]]:
    """A small model of an architecture, with inputs that it took in one real run.

    Args:
        model_type: as in transformers' configs, such as "bart".

    Raises:
        ValueError: no small config can be built, or no input is taken.
    """
    if model_type in NOT_BUILT:
        raise ValueError(NOT_BUILT[model_type])
    failures: list[str] = []
    for model in _models(model_type, failures):
        for inputs in [INPUTS[model_type](model.config)] if model_type in INPUTS else _inputs(model):
            try:
                with torch.inference_mode():
                    model(**inputs)
            except Exception as error:  # not the input of this architecture
                failures.append(f"{type(error).__name__}: {str(error)[:150]}")
            else:
                return model, inputs
    raise ValueError(" | ".join(dict.fromkeys(failures)) or "no inputs are known")
