"""The models that estimates are developed on, those kept apart, and the few that a quick check takes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Case:
    """A model as `opclock validate` takes it."""

    name: str
    model: str
    input_text: str | None = None


def own(*names: str) -> list[Case]:
    """Models of own_models.py."""
    return [Case(name, f"{HERE}/own_models.py:{name}") for name in names]


def transformers(*names: str) -> list[Case]:
    """Models of transformers_models.py."""
    return [Case(name, f"{HERE}/transformers_models.py:{name}") for name in names]


def zoo(**inputs: str) -> list[Case]:
    """Models of the zoo at other sizes."""
    return [Case(f"{name} {text}", f"zoo:{name}", text) for name, text in inputs.items()]


DEVELOPMENT = [
    *own("unet", "unet_tiny", "yolo", "ssd", "densenet", "mixer", "keywords", "speech_lstm", "text_gru",
         "text_encoder"),
    *transformers("bert", "gpt2", "t5_encoder", "deit_224", "swin", "convnext", "mobilevit", "efficientnet",
                  "segformer", "yolos", "wav2vec2"),
    *zoo(mobilenetv2="1x3x224x224", shufflenetv2="8x3x96x96", resnet50="2x3x64x64", inceptionv3="1x3x96x96",
         xception="4x3x32x32", vgg16="4x3x32x32"),
]  # fmt: skip

# Never looked at while a method was chosen: run them to see whether it holds beyond the development set.
HELD_OUT = [
    *transformers("distilbert", "vit", "regnet", "deeplab", "audio_spectrogram", "whisper_encoder"),
    *zoo(seresnet50="1x3x128x128", shufflenet="2x3x64x64", mobilenet="8x3x128x128", inceptionv4="1x3x75x75"),
]

QUICK = [
    *own("keywords", "ssd", "text_encoder"),
    *zoo(mobilenetv2="1x3x64x64"),
]
