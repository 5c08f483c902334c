"""Pages from the templates beside this module; whatever is filled in is escaped."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader


def render(name: str, **values: object) -> str:
    """The page of this template, such as "landscape"."""
    environment = Environment(loader=PackageLoader("opclock.report"), autoescape=True, keep_trailing_newline=True)
    return environment.get_template(f"{name}.html.j2").render(values)
