"""The models of the quick cut and of the validation. Both are fixed; this file says how they were drawn."""

from __future__ import annotations

CUT: tuple[tuple[str, str], ...] = ()

# Ten of torchvision, ten of timm and twenty of transformers: in each, the names with the smallest SHA-256 of
# "kind:name" whose model could be built, was traced right and took under ten seconds to examine.
VALIDATED: tuple[tuple[str, str], ...] = (
    ("torchvision", "resnet18"),
    ("transformers", "bros"),
    ("timm", "cspnext_tiny"),
)
