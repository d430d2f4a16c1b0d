"""From what went wrong while rendering to a code of the table of reasons and a sentence for people."""

from __future__ import annotations

from types import TracebackType

from jinja2 import TemplateNotFound, TemplateSyntaxError, UndefinedError
from jinja2.exceptions import SecurityError

from morpheus_kit.reasons import ReasonCode

LONGEST_TEXT = 500


class RenderError(Exception):
    """One message cannot be sent: `code` and `text` say why."""

    def __init__(self, code: ReasonCode, text: str) -> None:
        self.code = code
        self.text = text[:LONGEST_TEXT]
        super().__init__(text)


class MissingVariableError(UndefinedError):
    """A template printed a variable that nobody gave, or read an attribute of it."""

    def __init__(self, message: str | None, variable: str) -> None:
        self.variable = variable
        super().__init__(message)


class OutputError(Exception):
    """A template prints more than a message may have; the text says how much that is."""


class StyleError(Exception):
    """The CSS of a mail cannot be inlined; the text says why."""


class FilterError(Exception):
    """A filter cannot write the value that it was given; the text says which filter and why."""


def explain(exc: BaseException, templates: str = "") -> RenderError:
    """Code and text of anything that a template, its filters or its data can raise.

    `templates` are named where `exc` came from none: from what is done to that which they made.
    """
    if isinstance(exc, RenderError):
        return exc
    if isinstance(exc, TemplateSyntaxError):
        return RenderError(ReasonCode.TEMPLATE_INVALID, f"{exc.name}, line {exc.lineno}: {exc.message}")
    if isinstance(exc, TemplateNotFound):
        return RenderError(ReasonCode.TEMPLATE_MISSING, _at(exc, f"template {exc.message!r} is not there"))
    if isinstance(exc, MissingVariableError):
        return RenderError(ReasonCode.VARIABLE_MISSING, _at(exc, f"variable {exc.variable!r} is missing"))
    if isinstance(exc, UndefinedError):
        return RenderError(ReasonCode.VARIABLE_MISSING, _at(exc, str(exc.message)))
    if isinstance(exc, OutputError):
        return RenderError(ReasonCode.MESSAGE_TOO_LARGE, _at(exc, str(exc)))
    return RenderError(ReasonCode.RENDER_FAILED, _at(exc, _describe(exc), templates))


def _describe(exc: BaseException) -> str:
    if isinstance(exc, MemoryError):
        return "rendering needs too much memory"
    if isinstance(exc, RecursionError):
        return "templates or macros call each other without end"
    if isinstance(exc, (FilterError, StyleError)):
        return str(exc)
    if isinstance(exc, SecurityError):
        return f"not allowed in a template: {exc.message}"
    return f"{type(exc).__name__}: {str(exc)[:200]}"


def _at(exc: BaseException, text: str, templates: str = "") -> str:
    place = _place(exc.__traceback__) or templates
    return f"{place}: {text}" if place else text


def _place(traceback: TracebackType | None) -> str:
    """Template and line of the innermost frame of a compiled template."""
    place = ""
    while traceback is not None:
        template = traceback.tb_frame.f_globals.get("__jinja_template__")
        if template is not None:
            place = f"{template.name}, line {traceback.tb_lineno}"  # of the template: see `Sandbox._compile`
        traceback = traceback.tb_next
    return place
