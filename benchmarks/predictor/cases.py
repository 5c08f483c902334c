"""The models of the benchmark. No method was chosen on any of them."""

from benchmarks.accuracy.cases import HELD_OUT, Case


def _torchvision(*names: tuple[str, str]) -> list[Case]:
    return [Case(f"{name} {text}", f"torchvision:{name}", text) for name, text in names]


USUAL = _torchvision(
    ("alexnet", "1x3x224x224"), ("squeezenet1_1", "1x3x224x224"), ("resnet18", "1x3x224x224"),
    ("resnext50_32x4d", "1x3x128x128"), ("densenet121", "1x3x128x128"), ("googlenet", "1x3x224x224"),
    ("mobilenet_v2", "1x3x224x224"), ("mobilenet_v3_large", "4x3x128x128"), ("mnasnet0_5", "8x3x96x96"),
    ("shufflenet_v2_x1_0", "1x3x224x224"), ("efficientnet_b0", "1x3x160x160"), ("regnet_y_400mf", "2x3x128x128"),
    ("convnext_tiny", "1x3x96x96"), ("swin_t", "1x3x128x128"), ("vit_b_32", "1x3x224x224"),
)  # fmt: skip

# One small image: kernels of a few microseconds, and as much time in the host as in the kernels.
SMALL_IMAGES = _torchvision(
    ("mobilenet_v3_large", "1x3x64x64"), ("efficientnet_v2_s", "1x3x64x64"), ("densenet201", "1x3x48x48"),
    ("wide_resnet50_2", "1x3x32x32"), ("resnext50_32x4d", "1x3x64x64"), ("regnet_y_800mf", "1x3x64x64"),
    ("squeezenet1_1", "1x3x64x64"), ("shufflenet_v2_x1_5", "1x3x64x64"), ("mnasnet0_75", "1x3x96x96"),
    ("vgg13", "1x3x32x32"), ("googlenet", "1x3x64x64"), ("swin_v2_t", "1x3x64x64"), ("mobilenet_v2", "1x3x32x32"),
    ("resnet18", "1x3x96x96"),
)  # fmt: skip

CASES = [*USUAL, *SMALL_IMAGES, *HELD_OUT]
SMALL_NAMES = frozenset(case.name for case in SMALL_IMAGES)
