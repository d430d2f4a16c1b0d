"""Which of a template's files a recipient gets: variants for locales, and the text that stands beside it.

`welcome.html` may have variants (`welcome.en-GB.html`, `welcome.en.html`), and each of these a text part of its own
(`welcome.en.txt`). Pure: whoever calls knows which files there are.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable
from typing import Any

from babel import localedata

from morpheus_kit.reasons import ReasonCode
from services.renderer.failures import RenderError

TEXT = ".txt"
_LOCALE = re.compile(r"([A-Za-z]{2,3})(?:[-_]([A-Za-z]{4}))?(?:[-_]([A-Za-z]{2}|[0-9]{3}))?")


def canonical(value: Any) -> str:
    """`en_gb` as `en-GB`; nil and nothing as "". RenderError when it is not the name of a locale."""
    if value is None or value == "":
        return ""
    found = _LOCALE.fullmatch(value) if isinstance(value, str) else None
    if found is None or not localedata.exists(found[1].lower()):
        text = f"context.locale: {value!r} is not a locale such as en or en-GB"
        raise RenderError(ReasonCode.RENDER_FAILED, text)
    language, script, region = found.groups()
    return "-".join(filter(None, (language.lower(), (script or "").title(), (region or "").upper())))


def fallbacks(locale: str) -> list[str]:
    """A canonical locale and what stands for it, best first: `zh-Hant-TW`, `zh-Hant`, `zh`."""
    parts = locale.split("-") if locale else []
    return ["-".join(parts[:size]) for size in range(len(parts), 0, -1)]


def choose(path: str, locale: str, known: Container[str]) -> str:
    """The best of `known` for the template `path`; `path` itself when it has no variant for `locale`."""
    stem, ending = _split(path)
    if ending:
        for name in fallbacks(locale):
            variant = f"{stem}.{name}{ending}"
            if variant in known:
                return variant
    return path


def text_beside(path: str) -> str:
    """The path of the text part that belongs to the template `path`; "" for what is text already."""
    stem, ending = _split(path)
    return stem + TEXT if ending and ending != TEXT else ""


def prefix_of(path: str) -> str:
    """What the paths of all variants and texts of the template `path` begin with; "" when it can have none."""
    stem, ending = _split(path)
    return f"{stem}." if ending else ""


def variants(path: str, files: Iterable[str]) -> list[str]:
    """Those of `files` that are variants or texts of the template `path`."""
    stem, ending = _split(path)
    return [file for file in files if file != path and _belongs(file.removeprefix(stem), {ending, TEXT})]


def _belongs(rest: str, endings: set[str]) -> bool:
    name, ending = _split(rest)
    if ending not in endings:
        return False
    locale = name.removeprefix(".")
    try:
        return not name or (locale != "" and canonical(locale) == locale)
    except RenderError:
        return False


def _split(path: str) -> tuple[str, str]:
    """`a/b.c.html` as `a/b.c` and `.html`."""
    stem, dot, ending = path.rpartition(".")
    return (stem, dot + ending) if dot and "/" not in ending else (path, "")
