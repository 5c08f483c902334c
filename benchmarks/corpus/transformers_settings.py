"""What small models of some transformers architectures need that does not follow from their defaults: a line each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

# Arguments of the configuration, in place of the sizes that are set for all.
SETTINGS: dict[str, dict[str, Any]] = {
    "bamba": {"attn_layer_indices": [1]},
    "moonshine_streaming": {"num_key_value_heads": 8},
    "autoformer": {"prediction_length": 8, "context_length": 24, "num_time_features": 1},
    "informer": {"prediction_length": 8, "context_length": 24, "num_time_features": 1},
    "time_series_transformer": {"prediction_length": 8, "context_length": 24, "num_time_features": 1},
}


def _series(_config: object) -> dict[str, torch.Tensor]:
    past, future = 24 + 7, 8  # seven lags
    return {
        "past_values": torch.randn(1, past), "past_time_features": torch.randn(1, past, 1),
        "past_observed_mask": torch.ones(1, past),
        "future_values": torch.randn(1, future), "future_time_features": torch.randn(1, future, 1),
    }  # fmt: skip


def _ids(tokens: int = 16) -> torch.Tensor:
    return torch.randint(3, 100, (1, tokens))


# Inputs of a forward whose names or shapes are its own.
INPUTS: dict[str, Callable[[Any], dict[str, Any]]] = {
    "autoformer": _series,
    "informer": _series,
    "time_series_transformer": _series,
    "patchtst": lambda _config: {"past_values": torch.randn(1, 32, 1)},
    "patchtsmixer": lambda _config: {"past_values": torch.randn(1, 32, 1)},
    "timesfm": lambda _config: {
        "past_values": torch.randn(1, 512),
        "past_values_padding": torch.zeros(1, 512, dtype=torch.long),
        "freq": torch.zeros(1, 1, dtype=torch.long),
    },
    "timesfm2_5": lambda _config: {"past_values": torch.randn(1, 512)},
    "decision_transformer": lambda _config: {
        "states": torch.randn(1, 8, 17),
        "actions": torch.randn(1, 8, 4),
        "rewards": torch.randn(1, 8, 1),
        "returns_to_go": torch.randn(1, 8, 1),
        "timesteps": torch.arange(8)[None],
        "attention_mask": torch.ones(1, 8),
    },
    "bros": lambda _config: {"input_ids": _ids(), "bbox": torch.rand(1, 16, 4)},
    "lxmert": lambda _config: {
        "input_ids": _ids(),
        "visual_feats": torch.randn(1, 10, 2048),
        "visual_pos": torch.rand(1, 10, 4),
    },
    "visual_bert": lambda _config: {"input_ids": _ids(), "visual_embeds": torch.randn(1, 10, 512)},
    "speecht5": lambda _config: {
        "input_values": torch.randn(1, 50, 64),
        "decoder_input_values": torch.randn(1, 20, 64),
    },
    "blip_2_qformer": lambda config: {
        "query_embeds": torch.randn(1, 32, config.hidden_size),
        "encoder_hidden_states": torch.randn(1, 50, config.encoder_hidden_size),
    },
    "gemma4_vision": lambda config: {
        "pixel_values": torch.rand(1, 36, 3 * config.patch_size**2),
        "pixel_position_ids": torch.cartesian_prod(torch.arange(6), torch.arange(6))[None],
    },
    "pp_ocrv6_small_det": lambda _config: {"pixel_values": torch.randn(1, 3, 160, 160)},
    "minicpm_ocr_vision": lambda config: {
        "pixel_values": torch.randn(1, 3, config.patch_size, 16 * config.patch_size),
        "tgt_sizes": torch.tensor([[4, 4]]),
    },
    "univnet": lambda _config: {"input_features": torch.randn(1, 20, 100)},
}

# Why there is no small model of an architecture.
NOT_BUILT: dict[str, str] = {
    "bark": "it has no forward: its parts are called one by one to generate",
    "musicgen_melody": "AutoModel gives its configuration of several parts to the decoder, which takes it not",
    "pe_video_encoder": "its image encoder, of timm, has one size: 3e8 parameters",
    "layoutlmv2": "needs detectron2, which is no package of an index",
}
