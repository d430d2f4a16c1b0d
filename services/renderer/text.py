"""From rendered HTML to what is sent: CSS inlined, and the text part that says the same."""

from __future__ import annotations

import re

import css_inline
from resiliparse.extract.html2text import extract_plain_text

from services.renderer.failures import StyleError

# Mail programs that know media queries keep them; nothing is ever fetched.
_INLINER = css_inline.CSSInliner(
    keep_at_rules=True,
    keep_link_tags=True,
    load_remote_stylesheets=False,
)
_STYLE = re.compile(r"<style\b", re.IGNORECASE)
_CELL_GAP = re.compile(r"[ \t]*\t[ \t]*")
_LINK = re.compile(r" \(((?:mailto:|tel:)?([^)\s]+))\)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


def inline_css(html: str) -> str:
    """`html` with the rules of its style elements on the elements that they are for.

    StyleError when an element's own style is none.
    """
    if not _STYLE.search(html):
        return html
    try:
        return str(_INLINER.inline(html))
    except css_inline.InlineError as exc:
        raise StyleError(f"CSS cannot be inlined: {exc}") from exc


def text_of(html: str) -> str:
    """A readable text part: paragraphs, lists and table rows kept, links as `text (address)`."""
    text = extract_plain_text(html, preserve_formatting=True, list_bullets=True, alt_texts=True, links=True)
    if "\t" in text:
        text = _CELL_GAP.sub("  ", text)
    if " (" in text:
        text = _LINK.sub(_worth_showing, text)
    return str(text.strip())


def _worth_showing(link: re.Match[str]) -> str:
    """Nothing for a link into the page itself, or to what its own text says."""
    address: str = link[2]
    says_it = link.string.endswith(address, 0, link.start())
    return "" if says_it or address.startswith("#") else link[0]


def one_line(subject: str) -> str:
    """A header's value: no line break or other control character, no doubled white space."""
    if not subject.isprintable():
        subject = _CONTROL.sub(" ", subject)
    return " ".join(subject.split())
