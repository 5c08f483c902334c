"""Makes pages of the documents that live in the repository's root, where readers of the sources look for them."""

from __future__ import annotations

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for each of them; links are made relative to docs/."""
    for name in PAGES:
        text = (ROOT / name).read_text(encoding="utf-8").replace("](docs/", "](")
        for other in PAGES:
            text = re.sub(rf"\]\({re.escape(other)}(?=[)#])", f"]({other.lower()}", text)
        files.append(File.generated(config, name.lower(), content=text))
    return files
