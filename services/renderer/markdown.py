"""Templates that end in `.md`: Jinja2 first, then Markdown, then HTML like any other.

What a template prints is text, never Markdown or HTML: each character that could mean something is written as a
character reference, which Markdown and browsers turn back. The template's own Markdown and HTML mean what they say.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterator, MutableMapping
from typing import Any

from jinja2 import Template, Undefined
from jinja2.runtime import Context
from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup, escape

from services.renderer.environment import Sandbox

_BODY = "<!--morpheus:content-->"
# Padded as nobody writes it, so that code can be told from what its author wrote.
_REFERENCES = str.maketrans({char: f"&#00{ord(char):03};" for char in string.punctuation + "\t\n\r"})
_REFERENCE = re.compile(r"&#00(\d{3});")
_SPACE = _REFERENCES[ord("\n")].replace("010", "032")

_markdown = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])


class Body(Markup):
    """The rendered inner template: in an outer one that is Markdown it is no part of the Markdown."""

    __slots__ = ()


def to_html(source: str) -> str:
    """HTML of CommonMark with tables and strikethrough. Raw HTML stays."""
    environment: MutableMapping[str, Any] = {}
    tokens = _markdown.parse(source, environment)
    _restore(tokens)
    return str(_markdown.renderer.render(tokens, _markdown.options, environment))


def written(value: Any) -> Any:
    """What `{{ value }}` prints in a Markdown template; a sandbox's `finalize`."""
    if value is None:
        return ""
    if isinstance(value, Body):
        return Markup(_BODY)  # noqa: S704  a constant
    if isinstance(value, Undefined) or hasattr(value, "__html__"):
        return value
    text = str(value)
    start = len(text) - len(text.lstrip(" "))
    return Markup(_SPACE * start + text[start:].translate(_REFERENCES))  # noqa: S704  nothing is left to escape


class MarkdownTemplates:
    """The templates of one sandbox that end in `.md`, as HTML templates include and render them."""

    def __init__(self, sandbox: Sandbox) -> None:
        """`sandbox` finalizes with `written`."""
        self._sandbox = sandbox
        self._loaded: dict[str, Template] = {}

    def get(self, name: str, variables: MutableMapping[str, Any] | None = None) -> Template:
        """A template whose output is HTML."""
        found = self._loaded.get(name)
        if found is None:
            found = self._loaded[name] = _as_html(self._sandbox.get_template(name, globals=variables))
        return found


def _as_html(template: Template) -> Template:
    """The same template; those of its own sandbox keep using the one that gives Markdown."""
    made: Template = object.__new__(type(template))
    made.__dict__.update(template.__dict__, _module=None)
    source = template.root_render_func

    def root(context: Context) -> Iterator[str]:
        html = to_html(template.environment.concat(source(context)))
        yield html.replace(_BODY, context["content"], 1) if _BODY in html else html

    made.root_render_func = root
    return made


def _restore(tokens: list[Token]) -> None:
    """Code and raw HTML are not searched for references by Markdown: printed values get their characters back."""
    for token in tokens:
        if token.type in {"code_inline", "code_block", "fence"}:
            token.content = _REFERENCE.sub(_character, token.content)
        elif token.type in {"html_inline", "html_block"}:
            token.content = _REFERENCE.sub(_escaped, token.content)
        _restore(token.children or [])


def _character(reference: re.Match[str]) -> str:
    return chr(int(reference[1]))


def _escaped(reference: re.Match[str]) -> str:
    return str(escape(_character(reference)))
