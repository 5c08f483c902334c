"""Networks of kinds that the zoo has not, written small: detection, segmentation, audio, text, mixers."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

Example = tuple[nn.Module, tuple[Tensor, ...]]


def conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Convolution, batch norm and SiLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        nn.SiLU(inplace=True),
    )


class UNet(nn.Module):
    """Encoder and decoder joined by concatenation (Ronneberger et al. 2015)."""

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(depth)]
        self.down = nn.ModuleList(
            [self._double(before, after) for before, after in zip([3, *widths], widths, strict=False)]
        )
        self.up = nn.ModuleList(
            [nn.ConvTranspose2d(wide, narrow, 2, 2) for wide, narrow in zip(widths[:0:-1], widths[-2::-1], strict=True)]
        )
        self.join = nn.ModuleList([self._double(2 * narrow, narrow) for narrow in widths[-2::-1]])
        self.head = nn.Conv2d(width, 21, 1)

    @staticmethod
    def _double(inputs: int, outputs: int) -> nn.Sequential:
        return nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True),
            nn.Conv2d(outputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        kept = []
        for level, block in enumerate(self.down):
            x = block(functional.max_pool2d(x, 2) if level else x)
            kept.append(x)
        for up, join, skip in zip(self.up, self.join, kept[-2::-1], strict=True):
            x = join(torch.cat((skip, up(x)), 1))
        return self.head(x)


class Csp(nn.Module):
    """Half of the channels go through residual blocks, half around them (Wang et al. 2020)."""

    def __init__(self, width: int, blocks: int) -> None:
        super().__init__()
        self.enter, self.leave = conv(width, width, 1), conv(width, width, 1)
        self.blocks = nn.ModuleList([nn.Sequential(conv(width // 2, width // 2, 1), conv(width // 2, width // 2))
                                     for _ in range(blocks)])  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        left, right = self.enter(x).chunk(2, 1)
        for block in self.blocks:
            right = right + block(right)
        return self.leave(torch.cat((left, right), 1))


class Yolo(nn.Module):
    """A one-stage detector on three scales, with its boxes decoded."""

    def __init__(self, width: int = 24, classes: int = 20) -> None:
        super().__init__()
        self.stem = conv(3, width, 3, 2)
        self.stages = nn.ModuleList(
            [nn.Sequential(conv(width * 2**i, width * 2 ** (i + 1), 3, 2), Csp(width * 2 ** (i + 1), i + 1))
             for i in range(4)]
        )  # fmt: skip
        wide = [width * 2**level for level in (4, 3, 2)]
        self.lateral = nn.ModuleList([conv(a + b, b, 1) for a, b in pairwise(wide)])
        self.heads = nn.ModuleList([nn.Conv2d(channels, 5 + classes, 1) for channels in wide])

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.stem(x)
        levels = []
        for stage in self.stages:
            x = stage(x)
            levels.append(x)
        y = levels[-1]
        outputs = [self.heads[0](y)]
        for lateral, head, level in zip(self.lateral, self.heads[1:], levels[-2:0:-1], strict=True):
            y = lateral(torch.cat((functional.interpolate(y, scale_factor=2.0), level), 1))
            outputs.append(head(y))
        flat = torch.cat([each.flatten(2).permute(0, 2, 1) for each in outputs], 1)
        centre, size = flat[..., :2].sigmoid(), flat[..., 2:4].clamp(max=4.0).exp()
        scores = flat[..., 4:5].sigmoid() * flat[..., 5:].sigmoid()
        return torch.cat((centre - size / 2, centre + size / 2), -1), scores


class Ssd(nn.Module):
    """A single-shot detector on depthwise-separable features (Liu et al. 2016)."""

    def __init__(self) -> None:
        super().__init__()
        widths = [16, 32, 64, 128, 128, 128]
        self.features = nn.ModuleList(
            [
                nn.Sequential(conv(a, a, 3, 2, groups=a), conv(a, b, 1))
                for a, b in zip([3, *widths], widths, strict=False)
            ]
        )
        self.classes = nn.ModuleList([nn.Conv2d(width, 6 * 21, 3, padding=1) for width in widths[3:]])
        self.boxes = nn.ModuleList([nn.Conv2d(width, 6 * 4, 3, padding=1) for width in widths[3:]])

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        scores, boxes = [], []
        for level, block in enumerate(self.features):
            x = block(x)
            if level >= 3:
                batch = x.shape[0]
                scores.append(self.classes[level - 3](x).permute(0, 2, 3, 1).reshape(batch, -1, 21))
                boxes.append(self.boxes[level - 3](x).permute(0, 2, 3, 1).reshape(batch, -1, 4))
        return torch.cat(scores, 1).softmax(-1), torch.cat(boxes, 1)


class DenseNet(nn.Module):
    """Every layer reads all that came before it (Huang et al. 2017)."""

    def __init__(self, growth: int = 24, layers: tuple[int, ...] = (6, 8, 8)) -> None:
        super().__init__()
        width = 2 * growth
        self.stem = nn.Conv2d(3, width, 3, 2, 1)
        self.blocks, self.shrink = nn.ModuleList(), nn.ModuleList()
        for count in layers:
            block = nn.ModuleList()
            for _ in range(count):
                block.append(nn.Sequential(nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, growth, 3, 1, 1)))
                width += growth
            self.blocks.append(block)
            self.shrink.append(nn.Sequential(nn.BatchNorm2d(width), nn.Conv2d(width, width // 2, 1), nn.AvgPool2d(2)))
            width //= 2
        self.head = nn.Linear(width, 100)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for block, shrink in zip(self.blocks, self.shrink, strict=True):
            features = [x]
            for layer in block:
                features.append(layer(torch.cat(features, 1)))
            x = shrink(torch.cat(features, 1))
        return self.head(x.mean((2, 3)))


class Mixer(nn.Module):
    """MLP-Mixer (Tolstikhin et al. 2021)."""

    def __init__(self, image: int, patch: int, width: int, depth: int) -> None:
        super().__init__()
        tokens = (image // patch) ** 2
        self.patches = nn.Conv2d(3, width, patch, patch)
        self.norms = nn.ModuleList([nn.LayerNorm(width) for _ in range(2 * depth)])
        self.mlps = nn.ModuleList(
            [nn.Sequential(nn.Linear(size, 2 * size), nn.GELU(), nn.Linear(2 * size, size))
             for _ in range(depth) for size in (tokens, width)]
        )  # fmt: skip
        self.head = nn.Linear(width, 100)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        for number, (norm, mlp) in enumerate(zip(self.norms, self.mlps, strict=True)):
            y = norm(x)
            x = x + (mlp(y) if number % 2 else mlp(y.transpose(1, 2)).transpose(1, 2))
        return self.head(x.mean(1))


class Keywords(nn.Module):
    """Depthwise-separable keyword spotting on log-mel frames (Zhang et al. 2017)."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            conv(1, 64, 5, 2), *[layer for _ in range(4) for layer in (conv(64, 64, 3, 1, 64), conv(64, 64, 1))]
        )
        self.head = nn.Linear(64, 12)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x).mean((2, 3)))


class SpeechLstm(nn.Module):
    """Strided convolutions over a waveform, then a two-layer LSTM."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv1d(1, 64, 10, 5), nn.GELU(), nn.Conv1d(64, 64, 8, 4), nn.GELU())
        self.lstm = nn.LSTM(64, 96, 2, batch_first=True)
        self.head = nn.Linear(96, 29)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.lstm(self.features(x).transpose(1, 2))[0]).log_softmax(-1)


class TextGru(nn.Module):
    """Embedding and a two-way GRU."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(10000, 128)
        self.gru = nn.GRU(128, 128, batch_first=True, bidirectional=True)
        self.head = nn.Linear(256, 5)

    def forward(self, ids: Tensor) -> Tensor:
        return self.head(self.gru(self.embed(ids))[0].amax(1))


class TextEncoder(nn.Module):
    """PyTorch's own transformer encoder."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(8000, 192)
        layer = nn.TransformerEncoderLayer(192, 4, 768, batch_first=True, activation="gelu", norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 4, enable_nested_tensor=False)
        self.head = nn.Linear(192, 2)

    def forward(self, ids: Tensor) -> Tensor:
        return self.head(self.encoder(self.embed(ids))[:, 0])


def unet() -> Example:
    return UNet(16, 4), (torch.randn(2, 3, 128, 128),)


def unet_tiny() -> Example:
    return UNet(8, 3), (torch.randn(1, 3, 64, 64),)


def yolo() -> Example:
    return Yolo(), (torch.randn(1, 3, 192, 192),)


def ssd() -> Example:
    return Ssd(), (torch.randn(4, 3, 160, 160),)


def densenet() -> Example:
    return DenseNet(), (torch.randn(2, 3, 96, 96),)


def mixer() -> Example:
    return Mixer(64, 8, 192, 6), (torch.randn(8, 3, 64, 64),)


def keywords() -> Example:
    return Keywords(), (torch.randn(1, 1, 49, 40),)


def speech_lstm() -> Example:
    return SpeechLstm(), (torch.randn(1, 1, 8000),)


def text_gru() -> Example:
    return TextGru(), (torch.randint(0, 10000, (4, 48)),)


def text_encoder() -> Example:
    return TextEncoder(), (torch.randint(0, 8000, (2, 64)),)
