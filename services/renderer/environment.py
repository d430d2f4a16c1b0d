"""The sandbox that templates run in: what they may do, and what a missing variable does."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from functools import partial
from typing import Any, ClassVar

from jinja2 import BaseLoader, ChainableUndefined, Template, Undefined
from jinja2.environment import TemplateModule
from jinja2.exceptions import SecurityError, UndefinedError
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import missing

from services.renderer.failures import MissingVariableError
from services.renderer.filters import Formats

LONGEST_REPEAT = 1_000_000
LARGEST_POWER = 10_000
MOST_MODULES = 64
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


class LocalizedTemplate(Template):
    """Its module, which `import` gives, is made once a locale: what it sets may be written in that."""

    def _get_default_module(self, ctx: Context | None = None) -> TemplateModule:
        formats = getattr(self.environment, "formats", None)
        locale = (formats.locale, formats.zone) if formats else ("", "")
        modules: dict[tuple[str, str], TemplateModule] = self.__dict__.setdefault("_modules", {})
        if locale not in modules:
            if len(modules) >= MOST_MODULES:
                modules.clear()
            self._module = None
            modules[locale] = super()._get_default_module(ctx)
        return modules[locale]


class Sandbox(ImmutableSandboxedEnvironment):
    """Templates see data and pure filters: no private attribute, nothing that changes what messages share."""

    intercepted_binops: frozenset[str] = frozenset({"*", "**"})
    removed_globals: ClassVar[tuple[str, ...]] = ("lipsum",)

    template_class = LocalizedTemplate

    def __init__(
        self,
        *,
        html: bool,
        strict: bool,
        loader: BaseLoader,
        formats: Formats,
        finalize: Callable[[Any], Any] = nil_is_empty,
    ) -> None:
        """`html` escapes what is printed; `strict` is what `missing_variables: error` asks for.

        `formats` is what filters write like; `finalize` turns a value into what is printed.
        """
        super().__init__(
            autoescape=html,
            undefined=StrictVariable if strict else EmptyVariable,
            loader=loader,
            auto_reload=False,
            finalize=finalize,
        )
        self.formats = formats
        self.filters |= formats.filters(plain=not html)
        self.load_markdown: Callable[[str, MutableMapping[str, Any] | None], Template] | None = None
        for name in self.removed_globals:
            self.globals.pop(name, None)

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
