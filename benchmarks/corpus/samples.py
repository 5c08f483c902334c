"""The models of the quick cut and of the validation: fixed lists, and how they were drawn."""

from __future__ import annotations

from collections.abc import Iterator


def _named(kind: str, names: str) -> Iterator[tuple[str, str]]:
    return ((kind, name) for name in names.split())


# Small ones at equal distances in each kind's alphabet, and one for each fault that the corpus has found.
CUT = (
    *_named("torchvision",
            "alexnet convnext_tiny densenet121 efficientnet_b2 mnasnet0_5 quantized_shufflenet_v2_x0_5 "
            "regnet_x_3_2gf regnet_y_800mf shufflenet_v2_x1_0 ssdlite320_mobilenet_v3_large"),
    *_named("timm",
            "beit_base_patch16_224 caformer_s18 cspnext_tiny dpn48b efficientvit_b0 gcvit_tiny repvit_m0_9 "
            "sam2_hiera_tiny selecsls42 swiftformer_xs vit_relpos_small_patch16_224 xception41"),
    *_named("transformers",
            "afmoe albert apertus aria audio-spectrogram-transformer autoformer aya_vision bart bert big_bird "
            "blip_2_qformer canary clip ctrl decision_transformer dinov2_with_registers ernie4_5_moe exaone4_5_vision "
            "flava gemma2 glm5_next_vision gpt_neox_japanese granite_speech helium hy_v3 idefics2 inkling2_text "
            "kolibri1 levit longformer modernbert nemotron_asr_streaming_encoder nystromformer paligemma patchtst "
            "pixtral qianfan_ocr regnet sam3_lite_text_text_model smolvlm vipllava"),
)  # fmt: skip

# Ten of torchvision, ten of timm and twenty of transformers: in each kind, the names with the smallest SHA-256 of
# "kind:name" among the models that could be built.
VALIDATED = (
    *_named("torchvision",
            "resnet18 mnasnet0_5 deeplabv3_resnet50 densenet169 quantized_shufflenet_v2_x0_5 regnet_y_3_2gf "
            "efficientnet_b2 efficientnet_b7 regnet_x_1_6gf densenet161"),
    *_named("timm",
            "convit_tiny cait_xxs24_224 tnt_s_legacy_patch16_224 gmlp_s16_224 cspnext_tiny repvit_m0_9 "
            "naflexvit_base_patch16_siglip convmixer_768_32 res2net50_14w_8s crossvit_tiny_240"),
    *_named("transformers",
            "efficientnet hunyuan_vl_vision starcoder2 focalnet table-transformer glmasr siglip clipseg "
            "seamless_m4t megatron-bert inkling_mm_model muse_glimmer_text jamba bros glm4v_vision internvl "
            "parakeet_rnnt mt5 layoutlmv3 voxtral_encoder"),
)  # fmt: skip
