"""What small models of some transformers architectures need that does not follow from their defaults: a line each."""

from __future__ import annotations

from typing import Any

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

_PERCEPTION = {
    "model_type": "timm_wrapper", "architecture": "vit_pe_core_tiny_patch16_384",
    "model_args": {"depth": 2, "img_size": 64},
}  # fmt: skip
_LANGUAGE_PERCEPTION = {
    "model_type": "timm_wrapper", "architecture": "vit_pe_lang_large_patch14_448",
    "model_args": {"embed_dim": 64, "depth": 2, "num_heads": 4, "img_size": 56},
}  # fmt: skip
_DETECTOR = {
    "d_model": 64, "num_queries": 10, "group_detr": 2, "decoder_layers": 2,
    "decoder_self_attention_heads": 4, "decoder_cross_attention_heads": 4,
}  # fmt: skip
# Kernel, stride and padding of convolutions along one side and both.
_STRIPES = {
    f"{name}_{ratio}ratio": [[size**high, size**wide], 1, [size**high // 2, size**wide // 2]]
    for name, high, wide in (
        ("vertical_long_to_small_conv", 1, 0), ("horizontal_small_to_long_conv", 0, 1), ("symmetric_conv_long", 1, 1),
    )
    for ratio, size in (("long", 7), ("mid", 5), ("short", 3))
}  # fmt: skip

_SPEECH_CODEC = {"num_filters": 4, "depths": [1, 1, 1, 1, 1, 1, 1]}

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
    "sam_vision_model": {"image_size": 256},
    "sam_hq_vision_model": {"image_size": 256},
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
    "kosmos-2": {"text_config": {"layers": 2, "attention_heads": 4}, "latent_query_num": 8},
    "kyutai_speech_to_text": {"codebook_vocab_size": 64, "num_codebooks": 4, "audio_pad_token_id": 1},
    "lfm2_moe": {"num_hidden_layers": 2, "layer_types": ["conv", "full_attention"], "num_dense_layers": 1},
    "lw_detr": _DETECTOR | {
        "backbone_config": {
            "model_type": "lw_detr_vit", "image_size": 256, "hidden_size": 64, "num_attention_heads": 4,
            "num_hidden_layers": 2, "window_block_indices": [0], "out_indices": [1, 2],
        },
        "projector_scale_factors": [1.0],
    },
    "rf_detr": _DETECTOR | {
        "backbone_config": {
            "model_type": "rf_detr_dinov2", "image_size": 112, "hidden_size": 64, "num_attention_heads": 4,
            "num_hidden_layers": 2, "num_windows": 2, "out_features": ["stage1", "stage2"],
        },
    },
    "mimi_decoder": {"upsample_groups": 64},
    "pocket_tts_audio_tokenizer_decoder": {"upsample_groups": 64},
    "muse_spark_audio": {
        "num_hidden_layers": 2, "patch_sizes": [16, 6], "hidden_sizes": [32, 64], "depths": [1, 1],
        "out_hidden_size": 64,
    },
    "nemotron": {"num_key_value_heads": 2},
    "nemotron3_5_transcribe_audio": {
        "diarization_config": {"head_config": {"audio_hidden_size": 64}, "audio_config": {"hidden_size": 64}},
    },
    "nemotron3_5_transcribe_word_timestamp": {"blank_token_id": 1023},
    "neucodec": {"encoder_hidden_size": 8},
    "pe_audio_video": {"audio_video_config": {"video_config": {"vision_config": _PERCEPTION}}},
    "pe_audio_video_encoder": {"video_config": {"vision_config": _PERCEPTION}},
    "pe_video": {"video_config": {"vision_config": _PERCEPTION}},
    "pe_video_encoder": {"vision_config": _PERCEPTION},
    "perceiver": {"num_latents": 32, "d_latents": 64, "num_self_attends_per_block": 2},
    "perception_lm": {"vision_config": _LANGUAGE_PERCEPTION, "image_token_id": 5},
    "pi0": {"vlm_config": {"vision_config": {"image_size": 56}, "projection_dim": 64, "image_token_id": 5}},
    "pp_ocrv6_medium_det": {
        "backbone_config": {
            "model_type": "hgnet_v2", "stem_channels": [3, 8, 16],
            "stage_in_channels": [16, 32, 48, 64], "stage_mid_channels": [8, 8, 8, 8],
            "stage_out_channels": [32, 48, 64, 96], "stage_num_blocks": [1, 1, 1, 1],
            "stage_numb_of_layers": [2, 2, 2, 2], "out_features": ["stage1", "stage2", "stage3", "stage4"],
        },
        "neck_out_channels": 32, "scale_factor_list": [1, 2, 4, 8],
        "intraclass_block_config": {"reduce_channel": [1, 1, 0], "return_channel": [1, 1, 0], **_STRIPES},
    },
    "seggpt": {"image_size": [128, 64], "intermediate_hidden_state_indices": [0, 1], "merge_index": 0},
    "step3p7": {
        "text_config": {"sliding_window": 8}, "vision_config": {"image_size": 112}, "image_token_id": 5,
    },
    "t5gemma2_encoder": {"text_config": {"dropout_rate": 0.0}},
    "timm_backbone": {"backbone": "mobilenetv3_small_050"},
    "tvp": {"max_img_size": 128, "visual_prompt_size": 16, "num_frames": 2},
    "uvdoc": {
        "backbone_config": {
            "model_type": "uvdoc_backbone",
            "out_features": ["stage1", "stage2", "stage3", "stage4", "stage5", "stage6"],
        },
    },
    "vibevoice": {"audio_config": _SPEECH_CODEC, "semantic_model_config": _SPEECH_CODEC},
    "videomae": {"num_frames": 4},
    "videoprism": {"vision_config": {"num_frames": 4}},
    "videoprism_vision_model": {"num_frames": 4},
    "vivit": {"num_frames": 4},
    "vjepa2": {"frames_per_clip": 4},
    "xlstm": {"qk_dim_factor": 1.0},
    "xmod": {"default_language": "en_XX"},
    "zamba": {"num_hidden_layers": 4, "layers_block_type": ["mamba", "hybrid", "mamba", "hybrid"]},
    "vibevoice_acoustic_tokenizer": _SPEECH_CODEC,
    "vibevoice_acoustic_tokenizer_decoder": _SPEECH_CODEC,
    "vibevoice_acoustic_tokenizer_encoder": _SPEECH_CODEC,
    "vibevoice_asr": {
        "acoustic_tokenizer_encoder_config": _SPEECH_CODEC, "semantic_tokenizer_encoder_config": _SPEECH_CODEC,
    },
}  # fmt: skip

# The part that is built where the whole has no forward.
PARTS = {"bark": "semantic"}

# Why there is no small model of an architecture.
NOT_BUILT: dict[str, str] = {
    **dict.fromkeys(
        ("musicgen", "musicgen_melody"),
        "AutoModel gives its configuration of several parts to the decoder, which does not take it",
    ),
    "dinat": "needs natten, which is built for one version of torch",
    **dict.fromkeys(
        ("edgetam_video", "sam2_video", "sam3_video", "sam3_tracker_video"),
        "takes a session of a video, which is no tensor",
    ),
    "llama4": "its forward asks its language model's result for a field that it does not have (transformers 5.24)",
    "voxtral_realtime_text": "AutoModel names a class that transformers does not have (5.24)",
    "evolla": "AutoModel does not know its configuration",
    "glm_image_vqmodel": "it has no forward: its encode is called",
    "higgs_audio_v2_tokenizer": "needs torchaudio",
    "layoutlmv2": "needs detectron2, which is no package of an index",
}
