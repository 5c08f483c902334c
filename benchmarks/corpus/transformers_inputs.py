"""Inputs of transformers architectures whose forward has names or shapes of its own: an entry each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch


def _series(_config: object) -> dict[str, torch.Tensor]:
    past, future = 24 + 7, 8  # seven lags
    return {
        "past_values": torch.randn(1, past), "past_time_features": torch.randn(1, past, 1),
        "past_observed_mask": torch.ones(1, past),
        "future_values": torch.randn(1, future), "future_time_features": torch.randn(1, future, 1),
    }  # fmt: skip


def _ids(tokens: int = 16) -> torch.Tensor:
    return torch.randint(3, 100, (1, tokens))


def _tiled(config: Any) -> dict[str, torch.Tensor]:  # noqa: ANN401
    side = config.patch_size
    return {
        "pixel_values": torch.randn(1, 3, side, 16 * side),
        "target_sizes": torch.tensor([[4, 4]], dtype=torch.int32),
    }


def _named_objects(_config: object) -> dict[str, torch.Tensor]:
    return {
        "pixel_values": torch.randn(1, 3, 224, 224),
        "classes_input_ids": torch.randint(3, 100, (2, 8)), "classes_attention_mask": torch.ones(2, 8).long(),
        "tasks_input_ids": _ids(), "tasks_attention_mask": torch.ones(1, 16).long(),
        "classes_structure": torch.tensor([2]),
    }  # fmt: skip


def _with_image_tokens(
    config: Any,  # noqa: ANN401
    pixels: torch.Tensor,
    *,
    instruct: bool = True,
) -> dict[str, torch.Tensor]:
    frames = pixels.shape[1] if pixels.dim() == 5 else 1
    places = torch.full((1, frames * config.num_query_tokens), 5)
    inputs = {"pixel_values": pixels, "input_ids": torch.cat([places, _ids()], 1)}
    return inputs | {"qformer_input_ids": _ids(8)} if instruct else inputs


def _after_image(places: int) -> torch.Tensor:
    """Tokens after those that an image's features replace, with 5 in the configuration for their number."""
    return torch.cat([torch.full((1, places), 5), torch.randint(6, 100, (1, 16))], 1)


def _grid(patches: torch.Tensor) -> dict[str, torch.Tensor]:
    """An image of eight by eight patches."""
    return {"pixel_values": patches, "grid_thw": torch.tensor([[1, 8, 8]])}


def _two_frames(config: Any) -> dict[str, torch.Tensor]:  # noqa: ANN401
    return _grid(torch.randn(64, 3 * config.patch_temporal * config.patch_size**2))


def _flat_patches(config: Any) -> dict[str, torch.Tensor]:  # noqa: ANN401
    return {
        "pixel_values": torch.randn(1, 64, 3 * config.patch_size**2),
        "pixel_attention_mask": torch.ones(1, 64).long(),
        "spatial_shapes": torch.tensor([[8, 8]]),
    }


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
    "minicpm_ocr_vision": _tiled,
    "minicpmv4_7_vision": _tiled,
    "efficientloftr": lambda _config: {"pixel_values": torch.rand(1, 2, 3, 128, 128)},
    "omdet-turbo": _named_objects,
    "instructblip": lambda config: _with_image_tokens(config, torch.randn(1, 3, 224, 224)),
    "instructblipvideo": lambda config: _with_image_tokens(config, torch.randn(1, 4, 3, 224, 224)),
    "blip-2": lambda config: _with_image_tokens(config, torch.randn(1, 3, 224, 224), instruct=False),
    "clap": lambda _config: {
        "input_ids": _ids(),
        "input_features": torch.randn(1, 1, 1001, 64),
        "is_longer": torch.tensor([[False]]),
    },
    "clvp": lambda _config: {"input_ids": _ids(), "input_features": torch.randn(1, 80, 100)},
    "depth_pro": lambda _config: {"pixel_values": torch.randn(1, 3, 128, 128)},
    "gemma3n_audio": lambda _config: {
        "audio_mel": torch.randn(1, 100, 128),
        "audio_mel_mask": torch.zeros(1, 100).bool(),
    },
    "gemma4_audio": lambda _config: {
        "input_features": torch.randn(1, 100, 128),
        "attention_mask": torch.ones(1, 100).bool(),
    },
    "granite_speech5_ctc": lambda _config: {"input_features": torch.randn(1, 100, 320)},
    "granite_speech5_encoder": lambda _config: {"input_features": torch.randn(1, 100, 320)},
    "idefics": lambda _config: {
        "input_ids": _ids(),
        "pixel_values": torch.randn(1, 1, 3, 224, 224),
        "image_attention_mask": torch.ones(1, 16, 1).long(),
    },
    "inkling2_vision": lambda _config: {
        "pixel_values": torch.randn(16, 40, 40, 3),
        "image_grid_thw": torch.tensor([[1, 4, 4]]),
    },
    "fun_asr_nano_encoder": lambda config: {
        "input_features": torch.randn(1, 100, config.input_size),
        "input_features_mask": torch.ones(1, 100).long(),
    },
    "mgp-str": lambda _config: {"pixel_values": torch.randn(1, 3, 32, 128)},
    "lightglue": lambda _config: {"pixel_values": torch.rand(1, 2, 3, 128, 128)},
    "univnet": lambda _config: {"input_features": torch.randn(1, 20, 100)},
    "kimi_k25_vision": lambda config: _grid(torch.randn(64, 3, config.patch_size, config.patch_size)),
    "muse_glimmer_vision": _two_frames,
    "muse_spark_vision": _two_frames,
    "kosmos-2": lambda config: {
        "pixel_values": torch.randn(1, 3, 224, 224),
        "input_ids": _ids(),
        "image_embeds_position_mask": (torch.arange(16) < config.latent_query_num).long()[None],
    },
    "kyutai_speech_to_text": lambda config: {"input_ids": torch.randint(3, 60, (1, 16, config.num_codebooks + 1))},
    "mimi_decoder": lambda config: {"latents": torch.randn(1, config.hidden_size, 16)},
    "pocket_tts_audio_tokenizer_decoder": lambda config: {"latents": torch.randn(1, config.hidden_size, 16)},
    "muse_glimmer_assistant": lambda config: {
        "noise_embeds": torch.randn(1, config.block_size, config.hidden_size),
        "context_hidden_states": torch.randn(1, 8, config.hidden_size * len(config.target_layer_ids)),
    },
    "muse_spark_audio": lambda config: {"input_values": torch.randn(1, 20 * config.samples_per_token)},
    "nemotron3_5_transcribe_audio": lambda _config: {"input_features": torch.randn(1, 64, 128)},
    "nemotron3_5_transcribe_word_timestamp": lambda config: {"inputs_embeds": torch.randn(1, 16, config.hidden_size)},
    "neucodec": lambda _config: {"input_values": torch.randn(1, 1, 16000), "input_features": torch.randn(1, 50, 160)},
    "oneformer": lambda config: {
        "pixel_values": torch.randn(1, 3, 224, 224),
        "task_inputs": torch.randn(1, config.task_seq_len),
    },
    "pe_audio": lambda _config: {"input_ids": _ids(), "input_values": torch.randn(1, 1, 16000)},
    "pe_audio_video": lambda _config: {
        "input_ids": _ids(),
        "input_values": torch.randn(1, 1, 16000),
        "pixel_values_videos": torch.randn(1, 8, 3, 64, 64),
    },
    "pe_audio_video_encoder": lambda _config: {
        "input_values": torch.randn(1, 1, 16000),
        "pixel_values_videos": torch.randn(1, 8, 3, 64, 64),
    },
    "pe_video": lambda _config: {"input_ids": _ids(), "pixel_values_videos": torch.randn(1, 8, 3, 64, 64)},
    "pe_video_encoder": lambda _config: {"pixel_values_videos": torch.randn(1, 8, 3, 64, 64)},
    "perceiver": lambda config: {"inputs": torch.randn(1, 32, config.d_model)},
    "perception_lm": lambda _config: {
        "pixel_values": torch.randn(1, 1, 3, 56, 56),
        "input_ids": _after_image(16),
    },
    "pi0": lambda config: {
        "action_embeds": torch.randn(1, 11, config.dit_config.hidden_size),
        "pixel_values": torch.randn(1, 1, 3, 56, 56),
        "pixel_attention_mask": torch.ones(1, 1).bool(),
        "input_ids": _after_image(16),
        "attention_mask": torch.ones(1, 32).long(),
    },
    "pp_ocrv6_medium_det": lambda _config: {"pixel_values": torch.randn(1, 3, 128, 128)},
    "seggpt": lambda _config: {
        "pixel_values": torch.randn(1, 3, 64, 64),
        "prompt_pixel_values": torch.randn(1, 3, 64, 64),
        "prompt_masks": torch.randn(1, 3, 64, 64),
    },
    "siglip2": lambda config: {"input_ids": _ids()} | _flat_patches(config.vision_config),
    "siglip2_vision_model": _flat_patches,
    "step3p7": lambda _config: {"pixel_values": torch.randn(1, 3, 112, 112), "input_ids": _after_image(4)},
    "tvp": lambda config: {
        "pixel_values": torch.randn(1, config.num_frames, 3, config.max_img_size, config.max_img_size),
        "input_ids": _ids(),
        "attention_mask": torch.ones(1, 16).long(),
    },
    "udop": lambda _config: {
        "input_ids": _ids(),
        "bbox": torch.rand(1, 16, 4),
        "pixel_values": torch.randn(1, 3, 224, 224),
        "decoder_input_ids": _ids(),
    },
    "uvdoc": lambda _config: {"pixel_values": torch.randn(1, 3, 128, 128)},
    "videomae": lambda _config: {"pixel_values": torch.randn(1, 4, 3, 224, 224)},
    "videoprism": lambda _config: {"pixel_values_videos": torch.randn(1, 4, 3, 288, 288), "input_ids": _ids()},
    "videoprism_vision_model": lambda _config: {"pixel_values_videos": torch.randn(1, 4, 3, 288, 288)},
    "vivit": lambda _config: {"pixel_values": torch.randn(1, 4, 3, 224, 224)},
    "vjepa2": lambda _config: {"pixel_values_videos": torch.randn(1, 4, 3, 256, 256)},
    "voxtral_realtime": lambda config: {
        "input_ids": _ids(),
        "input_features": torch.randn(1, config.audio_config.num_mel_bins, 128),
    },
    "wav2vec2-bert": lambda _config: {"input_features": torch.randn(1, 50, 160)},
    "xcodec2": lambda _config: {"input_values": torch.randn(1, 1, 16000), "input_features": torch.randn(1, 50, 160)},
    "xclip": lambda _config: {"pixel_values": torch.randn(1, 8, 3, 224, 224), "input_ids": _ids()},
    "vibevoice_acoustic_tokenizer_decoder": lambda config: {"hidden_states": torch.randn(1, config.hidden_size, 8)},
    "vibevoice_acoustic_tokenizer_encoder": lambda _config: {"hidden_states": torch.randn(1, 1, 16000)},
    "video_llama_3_vision": lambda config: {
        "pixel_values": torch.randn(64, 3 * config.patch_size**2),
        "grid_thw": torch.tensor([[1, 8, 8]]),
        "merge_sizes": torch.tensor([2]),
    },
    "lw_detr": lambda _config: {"pixel_values": torch.randn(1, 3, 256, 256)},
    "rf_detr": lambda _config: {"pixel_values": torch.randn(1, 3, 112, 112)},
}
