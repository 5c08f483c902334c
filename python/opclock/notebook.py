"""What a notebook shows of a result."""

from __future__ import annotations

import importlib


def shown(result: object) -> str | None:
    """HTML for a notebook; None, so that it shows the text, where a package of ``opclock[report]`` is missing.

    Results know nothing of ``report``, which imports them. It is looked up by name when a notebook asks for it.
    """
    try:
        page = importlib.import_module("opclock.report.notebook")
    except ImportError:
        return None
    return str(page.html(result))


class ShownInNotebooks:
    """A result that Jupyter shows as tables."""

    def _repr_html_(self) -> str | None:
        return shown(self)
