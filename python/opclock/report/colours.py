"""The colours of operator classes, the same in every figure and page."""

from __future__ import annotations

# Blue for the classes that MACs count, other colours for the rest.
CLASS_COLOURS = {
    "convolution": "#1f5fa8", "gemm": "#7fb0e0", "recurrent": "#b5d3ef", "host": "#b3261e", "normalisation": "#d9730d",
    "activation": "#f0b429", "concat": "#5b8c3a", "element-wise": "#8c6bb1", "pooling": "#c78fb6", "copy": "#3a8c86",
    "view": "#b0b0b0",
}  # fmt: skip
