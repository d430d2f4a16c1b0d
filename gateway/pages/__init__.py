"""The pages that people look at: templates, their style, and the policy that they are served under."""

from __future__ import annotations

import re
from pathlib import Path

from fastapi.responses import Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

_FOLDER = Path(__file__).parent
_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; frame-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_KIB = 1024
_BACKTICKS = re.compile("`([^`]+)`")


def size(count: int) -> str:
    """Bytes for people."""
    if count < _KIB:
        return f"{count} B"
    return f"{count / _KIB:.0f} KB" if count < _KIB * _KIB else f"{count / _KIB / _KIB:.1f} MB"


def marked(text: str) -> Markup:
    """What stands in backticks as code."""
    return Markup(_BACKTICKS.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704  escaped before


_environment = Environment(
    loader=FileSystemLoader(_FOLDER / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.filters |= {"size": size, "marked": marked}


def page(name: str, status: int = 200, **values: object) -> Response:
    """A rendered template: no script, nothing from elsewhere."""
    return Response(
        _environment.get_template(name).render(values),
        status,
        media_type="text/html",
        headers={
            "content-security-policy": _POLICY,
            "referrer-policy": "same-origin",
            "x-content-type-options": "nosniff",
            "cache-control": "no-store",
        },
    )


def style() -> Response:
    """The style of all pages."""
    return Response(
        (_FOLDER / "static" / "style.css").read_bytes(), media_type="text/css", headers={"cache-control": "no-cache"}
    )
