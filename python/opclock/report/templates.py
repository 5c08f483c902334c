"""HTML pages from the templates in this folder. All values are escaped."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader


def render(name: str, **values: object) -> str:
    """Return the page that the template NAME.html.j2 gives with these values."""
    environment = Environment(loader=PackageLoader("opclock.report"), autoescape=True, keep_trailing_newline=True)
    return environment.get_template(f"{name}.html.j2").render(values)
