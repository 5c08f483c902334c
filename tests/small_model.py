"""Small models: one for timing, one for every runtime, and one that refuses to run."""

from __future__ import annotations

import torch
from torch import nn


class Classifier(nn.Module):
    """Convolution, normalisation, concatenation and a linear layer, for 3x16x16 images."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.head = nn.Linear(8, 4)

    def forward(self, x):
        y = torch.relu_(self.norm(self.conv(x)))
        y = torch.cat((y, y.sigmoid()), 1)[:, :8] * 0.5
        return self.head(y.mean((2, 3)))


class Split(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 16, 3, 2, 1))
        self.head = nn.Linear(16, 10)

    def forward(self, x):
        left, right = self.body(x).chunk(2, 1)
        return self.head(torch.cat((right, left), 1).mean((2, 3)))

    def postprocess(self, scores):
        return scores.argmax(1)


class Refuses(nn.Module):
    def forward(self, x):
        raise RuntimeError("not today")


def small():
    torch.manual_seed(3)
    return Split(), torch.randn(1, 3, 32, 32)


def refuses():
    return Refuses(), torch.randn(1, 3)
