"""What small models of some transformers architectures need that does not follow from their defaults: a line each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

# For heads of 16: parts of the rotary embedding for time, height and width.
_MULTIMODAL: dict[str, Any] = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [4, 2, 2]}
_GLM = {"rope_parameters": _MULTIMODAL | {"mrope_section": [2, 3, 3]}}
_GLM_HALF = {"rope_parameters": _MULTIMODAL | {"mrope_section": [1, 1, 2], "partial_rotary_factor": 0.5}}
_GEMMA3N = {
    "num_hidden_layers": 2, "layer_types": ["sliding_attention", "full_attention"], "num_kv_shared_layers": 0,
    "hidden_size_per_layer_input": 16, "vocab_size_per_layer_input": 1024, "intermediate_size": [96, 96],
    "activation_sparsity_pattern": [0.0, 0.0], "laurel_rank": 8,
}  # fmt: skip
_REPVIT = {
    "model_type": "timm_wrapper", "architecture": "repvit_m1", "num_classes": 2,
    "model_args": {"in_chans": 3, "features_only": True, "out_indices": [0, 1, 2, 3]},
}  # fmt: skip
_INDEXED = {
    "num_hidden_layers": 2, "layer_types": ["linear_attention", "indexed_attention"],
    "indexer_n_heads": 2, "indexer_kv_heads": 1, "indexer_head_dim": 16,
    "indexer_budget": 8, "indexer_compress_ratio": 2, "head_dim": 16,
    "linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 16, "linear_value_head_dim": 16,
    "shared_expert_intermediate_size": 32, "hc_lowrank": 16, "rope_parameters": _MULTIMODAL,
}  # fmt: skip

# Arguments of the configuration, in place of the sizes that are set for all.
SETTINGS: dict[str, dict[str, Any]] = {
    "bamba": {"attn_layer_indices": [1]},
    "moonshine_streaming": {"num_key_value_heads": 8},
    "autoformer": {"prediction_length": 8, "context_length": 24, "num_time_features": 1},
    "informer": {"prediction_length": 8, "context_length": 24, "num_time_features": 1},
    "time_series_transformer": {"prediction_length": 8, "context_length": 24, "num_time_features": 1},
    "efficientloftr": {"out_features": [16, 16, 32, 64], "hidden_size": 64, "stage_num_blocks": [1, 1, 2, 2]},
    "align": {"vision_config": {"image_size": 64, "depth_coefficient": 1.0}},
    "blt": {"encoder_hash_byte_group_vocab": 1002, "use_cache": False},
    "edgetam_vision_model": {"backbone_config": _REPVIT},
    "edgetam": {
        "vision_config": {
            "backbone_feature_sizes": [[64, 64], [32, 32], [16, 16]], "backbone_config": _REPVIT,
        },
        "prompt_encoder_config": {"image_size": 256},
    },
    "bailing_hybrid": {"layer_group_size": 2},
    "blip-2": {"image_token_index": 5},
    "chameleon": {"vocabulary_map": {"<image>": 5}},
    "clvp": {"decoder_config": {"vocab_size": 8194}, "speech_config": {"vocab_size": 8194}},
    "codegen": {"rotary_dim": 8},
    "deepseek_ocr2": {
        "text_config": {"num_hidden_layers": 2, "mlp_layer_types": ["dense", "sparse"], "num_experts_per_tok": 2},
    },
    "cohere_compass": {"text_config": {"rope_parameters": {"full_attention": _MULTIMODAL}}},
    "csm": {"text_vocab_size": 1024},
    "dbrx": {"attn_config": {"rope_theta": 1e4, "clip_qkv": 8.0}},
    "deepseek_v2": {"num_experts_per_tok": 2},
    "sam_hq": {"vision_config": {"image_size": 256}, "prompt_encoder_config": {"image_size": 256}},
    "funnel": {"block_sizes": [1, 1], "architectures": ["FunnelModel"]},
    "pp_ocrv6_small_det": {
        "backbone_config": {
            "model_type": "pp_lcnet_v4", "stem_channels": [3, 8, 16],
            "block_configs": [
                [[3, 16, 16, 1, True]], [[3, 16, 32, 2, False]],
                [[3, 32, 48, 2, True]], [[3, 48, 64, 2, False]],
            ],
            "out_features": ["stage1", "stage2", "stage3", "stage4"],
        },
        "layer_list_out_channels": [16, 32, 48, 64],
    },
    "gemma3n": {"text_config": _GEMMA3N},
    "gemma3n_text": _GEMMA3N,
    "gemma3n_audio": {"conf_num_hidden_layers": 1, "hidden_size": 64, "conf_num_attention_heads": 4},
    "glm4v_text": _GLM,
    "glm_image_text": _GLM,
    "glm4v": {"text_config": _GLM},
    "glm46v": {"text_config": _GLM},
    "glmga": {"text_config": _GLM},
    "glm_image": {"text_config": _GLM},
    "glm4v_moe_text": _GLM_HALF,
    "glm4v_moe": {"text_config": _GLM_HALF},
    "glm5_next_text": {"num_attention_heads": 4, "num_key_value_heads": 4},
    "glm5_next": {"text_config": {"num_attention_heads": 4, "num_key_value_heads": 4}},
    "paddleocr_vl": {"text_config": {"rope_parameters": _MULTIMODAL}},
    "qwen2_5_omni_thinker": {"text_config": {"rope_parameters": _MULTIMODAL}},
    "qwen2_vl_text": {"rope_parameters": _MULTIMODAL},
    "qwen2_5_vl_text": {"rope_parameters": _MULTIMODAL},
    "qwen2_vl": {"text_config": {"rope_parameters": _MULTIMODAL}},
    "qwen2_5_vl": {"text_config": {"rope_parameters": _MULTIMODAL}},
    "hunyuan_v1_dense": {"head_dim": 16},
    "hunyuan_v1_moe": {"head_dim": 16},
    "hunyuan_vl_text": {"head_dim": 16, "rope_parameters": _MULTIMODAL},
    "ministral": {"head_dim": 16},
    "gptj": {"rotary_dim": 8},
    "esm": {"vocab_size": 33, "pad_token_id": 1, "mask_token_id": 32},
    "diffusion_gemma": {"text_config": {"num_experts": 4, "top_k_experts": 2, "moe_intermediate_size": 32}},
    "fun_asr_nano_encoder": {"num_timestamp_prediction_layers": 1},
    "dots1": {"n_routed_experts": 4, "num_experts_per_tok": 2, "n_shared_experts": 1},
    "emu3": {"vocabulary_map": {"<image>": 5}},
    "ernie4_5_vl_moe": {"text_config": {"rope_parameters": _MULTIMODAL | {"mrope_section": [3, 3, 2]}}},
    "granite4_vision": {"deepstack_layer_map": [[-1, 0]], "downsample_rate": "1/2"},
    "granitemoehybrid": {"layer_types": ["mamba", "attention"], "num_hidden_layers": 2},
    "depth_pro": {
        "patch_size": 32, "intermediate_hook_ids": [1, 0],
        "image_model_config": {"image_size": 32}, "patch_model_config": {"image_size": 32},
        "fov_model_config": {"image_size": 32},
    },
    "hunyuan_vl": {"text_config": {"rope_parameters": _MULTIMODAL, "head_dim": 16}},
    "cohere_compass_text": {"rope_parameters": {"full_attention": _MULTIMODAL}},
    "qwen4_exp": {"text_config": _INDEXED},
    "qwen4_exp_text": _INDEXED,
    "omdet-turbo": {"image_size": 224},
    "minicpm_ocr_vision": {"insert_layer_id": 0},
    "minicpmv4_7_vision": {"insert_layer_id": 0},
    "instructblip": {"image_token_index": 5},
    "instructblipvideo": {"video_token_index": 5},
}  # fmt: skip


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
}

# The part that is built where the whole has no forward.
PARTS = {"bark": "semantic"}

# Why there is no small model of an architecture.
NOT_BUILT: dict[str, str] = {
    "musicgen_melody": "AutoModel gives its configuration of several parts to the decoder, which takes it not",
    "pe_video_encoder": "its image encoder, of timm, has one size: 3e8 parameters",
    "dinat": "needs natten, which is built for one version of torch",
    **dict.fromkeys(
        ("edgetam_video", "sam2_video", "sam3_video", "sam3_tracker_video"),
        "takes a session of a video, which is no tensor",
    ),
    "evolla": "AutoModel does not know its configuration",
    "glm_image_vqmodel": "it has no forward: its encode is called",
    "higgs_audio_v2_tokenizer": "needs torchaudio",
    "layoutlmv2": "needs detectron2, which is no package of an index",
}
