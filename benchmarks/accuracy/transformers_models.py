"""Small configurations of models from ``transformers``, with random weights: nothing is downloaded."""

from __future__ import annotations

from typing import Any

import torch
import transformers as hf

Example = tuple[torch.nn.Module, Any]


def image(batch: int, size: int) -> tuple[torch.Tensor]:
    """A batch of random images."""
    return (torch.randn(batch, 3, size, size),)


def tokens(batch: int, length: int, vocabulary: int = 5000) -> dict[str, torch.Tensor]:
    """A batch of random token numbers."""
    return {"input_ids": torch.randint(0, vocabulary, (batch, length))}


SMALL = {"hidden_size": 192, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 768}


def normalised(example: Example) -> Example:
    """The model with batch norms that know the mean and variance of what they get, as training leaves them.

    Filters of ``transformers`` are so small that values would else shrink from layer to layer, until they are subnormal
    numbers: EfficientNet then took four to five times as long, MobileViT eight times.
    """
    model, inputs = example
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        model.train()(*inputs)
    return model.eval(), inputs


def bert() -> Example:
    return hf.BertModel(hf.BertConfig(vocab_size=5000, **SMALL)), tokens(1, 64)


def distilbert() -> Example:
    config = hf.DistilBertConfig(vocab_size=5000, dim=256, n_layers=3, n_heads=4, hidden_dim=1024)
    return hf.DistilBertModel(config), tokens(4, 32)


def gpt2() -> Example:
    config = hf.GPT2Config(vocab_size=5000, n_embd=192, n_layer=4, n_head=4, bos_token_id=0, eos_token_id=0)
    return hf.GPT2Model(config), tokens(1, 96)


def t5_encoder() -> Example:
    config = hf.T5Config(vocab_size=5000, d_model=192, d_kv=48, d_ff=768, num_layers=4, num_heads=4)
    return hf.T5EncoderModel(config), tokens(2, 48)


def vit() -> Example:
    return hf.ViTModel(hf.ViTConfig(image_size=96, patch_size=16, **SMALL)), image(2, 96)


def deit_224() -> Example:
    return hf.DeiTModel(hf.DeiTConfig(image_size=224, patch_size=16, **SMALL)), image(1, 224)


def swin() -> Example:
    config = hf.SwinConfig(image_size=112, embed_dim=48, depths=[2, 2, 2], num_heads=[2, 4, 8], window_size=7)
    return hf.SwinModel(config), image(1, 112)


def convnext() -> Example:
    config = hf.ConvNextConfig(hidden_sizes=[48, 96, 192, 384], depths=[2, 2, 4, 2])
    return hf.ConvNextModel(config), image(2, 96)


def mobilevit() -> Example:
    return normalised((hf.MobileViTModel(hf.MobileViTConfig(image_size=128)), image(1, 128)))


def efficientnet() -> Example:
    config = hf.EfficientNetConfig(image_size=128, hidden_dim=1280, width_coefficient=1.0, depth_coefficient=1.0)
    return normalised((hf.EfficientNetModel(config), image(1, 128)))


def regnet() -> Example:
    config = hf.RegNetConfig(hidden_sizes=[48, 104, 208, 440], depths=[1, 3, 6, 6], groups_width=8, layer_type="y")
    return hf.RegNetModel(config), image(1, 160)


def segformer() -> Example:
    return hf.SegformerForSemanticSegmentation(hf.SegformerConfig(num_labels=19)), image(1, 128)


def deeplab() -> Example:
    config = hf.MobileNetV2Config(num_labels=21, output_stride=8)
    return hf.MobileNetV2ForSemanticSegmentation(config), image(1, 160)


def yolos() -> Example:
    config = hf.YolosConfig(image_size=[128, 128], num_detection_tokens=40, **SMALL)
    return hf.YolosForObjectDetection(config), image(1, 128)


def wav2vec2() -> Example:
    config = hf.Wav2Vec2Config(**SMALL, conv_dim=[128] * 7, num_conv_pos_embedding_groups=4)
    return hf.Wav2Vec2Model(config), (torch.randn(1, 8000),)


def audio_spectrogram() -> Example:
    config = hf.ASTConfig(max_length=128, num_mel_bins=64, **SMALL)
    return hf.ASTModel(config), (torch.randn(1, 128, 64),)


def whisper_encoder() -> Example:
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    config = hf.WhisperConfig(d_model=192, encoder_layers=2, encoder_attention_heads=4, encoder_ffn_dim=768,
                              max_source_positions=200)  # fmt: skip
    return WhisperEncoder(config), (torch.randn(1, 80, 400),)
