"""A mail's HTML for a browser: no script, no request but images, and links inert unless asked for."""

from __future__ import annotations

from fastapi.responses import Response
from resiliparse.parse.html import HTMLTree

_POLICY = (
    "default-src 'none'; img-src http: https: data:; style-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'; sandbox"
)
_LIVE_LINKS = " allow-popups allow-popups-to-escape-sandbox allow-top-navigation-by-user-activation"
# Whatever takes a reader somewhere: the elements that do, and the attributes by which they do.
_LEADING = "a, area, base, button, embed, form, frame, iframe, input, link, meta, object"
_ATTRIBUTES = ("href", "xlink:href", "target", "ping", "action", "formaction", "http-equiv", "src", "srcdoc", "data")


def html_response(html: str, *, safe: bool) -> Response:
    """The page for a body as sent."""
    return Response(
        inert(html) if safe else html,
        media_type="text/html",
        headers={
            "content-security-policy": _POLICY if safe else _POLICY + _LIVE_LINKS,
            "referrer-policy": "no-referrer",
            "x-content-type-options": "nosniff",
            "cache-control": "private, no-store",
        },
    )


def inert(html: str) -> str:
    """The same page without anything that leads away from it."""
    tree = HTMLTree.parse(html)
    if tree.document is None:
        return ""
    for element in tree.document.query_selector_all(_LEADING):
        is_image_button = element.tag == "input"
        for name in _ATTRIBUTES:
            if element.hasattr(name) and not (is_image_button and name == "src"):
                del element[name]
    return str(tree)
