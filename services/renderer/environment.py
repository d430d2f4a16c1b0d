"""The sandbox that templates run in: what they may do, and what a missing variable does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, MutableMapping
from functools import partial
from types import CodeType
from typing import Any, ClassVar

from jinja2 import BaseLoader, ChainableUndefined, Template, Undefined
from jinja2.environment import TemplateModule
from jinja2.exceptions import SecurityError, UndefinedError
from jinja2.filters import do_indent
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import missing

from services.renderer.code_lines import compile_at_lines
from services.renderer.failures import MissingVariableError, OutputError
from services.renderer.filters import Formats

LONGEST_REPEAT = 1_000_000
LARGEST_POWER = 10_000
LARGEST_OUTPUT = 25_000_000
MARKDOWN = ".md"


class StrictVariable(Undefined):
    """A missing variable that fails the message when it is printed or looked into, and else is empty."""

    __slots__ = ()

    def __init__(
        self,
        hint: str | None = None,
        obj: Any = missing,
        name: str | None = None,
        exc: type[Exception] = UndefinedError,
    ) -> None:
        super().__init__(hint, obj, name, exc)  # type: ignore[arg-type]  # any exception will do
        if exc is UndefinedError:
            self._undefined_exception = partial(MissingVariableError, variable=str(name))  # type: ignore[assignment]

    def __str__(self) -> str:
        raise self._undefined_exception(self._undefined_message)

    __repr__ = __str__


class EmptyVariable(ChainableUndefined):
    """A missing variable that is empty wherever it stands, and so is all that is read from it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return ""


def nil_is_empty(value: Any) -> Any:
    """What `{{ value }}` prints; a sandbox's `finalize`."""
    return "" if value is None else value


def new_map(*pairs: Any, **named: Any) -> dict[Any, Any]:
    """What templates have as `dict`: of the class they could take methods that change every map."""
    return dict(*pairs, **named)


def indent_text(value: Any, *arguments: Any, **named: Any) -> str:
    """The filter `indent`, for text alone: Jinja2's own puts a line break at the end of a list that it is given."""
    return do_indent(value if isinstance(value, str) else str(value), *arguments, **named)


class MessageTemplate(Template):
    """Its module, which `import` gives, is made once a message.

    What it sets may be written in the recipient's locale, and may remember: a namespace, a cycler, a list that is read
    once. No message sees what another has left there.
    """

    _turn = -1

    def get_corresponding_lineno(self, lineno: int) -> int:
        """Lines of the code are those of the template."""
        return lineno

    def _get_default_module(self, ctx: Context | None = None) -> TemplateModule:
        formats = getattr(self.environment, "formats", None)
        turn = formats.turn if formats else 0
        if turn != self._turn:
            self._turn, self._module = turn, None
        return super()._get_default_module(ctx)


class Sandbox(ImmutableSandboxedEnvironment):
    """Templates see data and pure filters: no private attribute, nothing that changes what messages share."""

    intercepted_binops: frozenset[str] = frozenset({"*", "**"})
    removed_globals: ClassVar[tuple[str, ...]] = ("lipsum",)

    template_class = MessageTemplate

    def __init__(
        self,
        *,
        html: bool,
        strict: bool,
        loader: BaseLoader,
        formats: Formats,
        finalize: Callable[[Any], Any] = nil_is_empty,
        most_output: int = LARGEST_OUTPUT,
    ) -> None:
        """`html` escapes what is printed; `strict` is what `missing_variables: error` asks for.

        `formats` is what filters write like; `finalize` turns a value into what is printed; `most_output` is how many
        characters a template, a macro or a block may print.
        """
        super().__init__(
            autoescape=html,
            undefined=StrictVariable if strict else EmptyVariable,
            loader=loader,
            auto_reload=False,
            finalize=finalize,
        )
        self.formats = formats
        self._most_output = most_output
        self.filters |= formats.filters(plain=not html)
        self.load_markdown: Callable[[str, MutableMapping[str, Any] | None], Template] | None = None
        for name in self.removed_globals:
            self.globals.pop(name, None)
        self.globals["dict"] = new_map
        self.filters["indent"] = indent_text

    def concat(self, pieces: Iterable[str]) -> str:
        """What the pieces of a template, a macro or a block make; OutputError as soon as that is too long."""
        made, size, most = [], 0, self._most_output
        for piece in pieces:
            size += len(piece)
            if size > most:
                error = OutputError(f"it prints more than {most} characters")
                if hasattr(pieces, "throw"):
                    pieces.throw(error)  # where the template stands now, so that the error names the line
                raise error
            made.append(piece)
        return "".join(made)

    def getattr(self, obj: Any, attribute: str) -> Any:
        """`order.items` is the posted key `items` where there is one: data comes before a map's methods."""
        if obj.__class__ is dict:
            try:
                return obj[attribute]
            except KeyError:
                pass
        return super().getattr(obj, attribute)

    def _load_template(self, name: str, globals: MutableMapping[str, Any] | None) -> Template:  # noqa: A002  Jinja2's
        """Of Jinja2, behind everything that loads: what ends in `.md` comes as HTML where there is HTML."""
        if self.load_markdown is not None and name.endswith(MARKDOWN):
            return self.load_markdown(name, globals)
        return super()._load_template(name, globals)

    def _compile(self, source: str, filename: str) -> CodeType:
        """Of Jinja2: here lines of the code are those of the template."""
        return compile_at_lines(source, filename)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Refuses what would fill memory or hold a CPU for one expression."""
        if operator == "**":
            if abs(right) > LARGEST_POWER or abs(left) > LARGEST_POWER:
                raise SecurityError(f"powers beyond {LARGEST_POWER}")
        else:
            for sequence, times in ((left, right), (right, left)):
                if isinstance(sequence, (str, list, tuple, bytes)) and len(sequence) * times > LONGEST_REPEAT:
                    raise SecurityError(f"repeats longer than {LONGEST_REPEAT}")
        return super().call_binop(context, operator, left, right)
