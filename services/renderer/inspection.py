"""What a template needs, uses and gets wrong, over all that it extends, includes and imports. Nothing is kept."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from morpheus_kit.blobs import Blob, TemplateStore
from morpheus_kit.errors import InvalidInputError, NotFoundError, TooLargeError
from morpheus_kit.reasons import ReasonCode
from services.renderer.catalog import LARGEST_TEMPLATE, MOST_TEMPLATES, TemplateFailureError, list_variants
from services.renderer.frames import Description, Reference

GIVEN = frozenset(
    [
        *("address", "first_name", "last_name", "full_name", "user_link", "tags", "company_code", "group_id"),
        *("subject", "content", "unsubscribe_url"),
    ]
)
"""Variables that no context has to give: `subject` and `content` are there in the outer template only,
`unsubscribe_url` where the group has such links."""

Describer = Callable[[str, bytes], Awaitable[Description]]
"""Describes a template, given its path and its source."""


class Used(NamedTuple):
    """A template that was looked at. `version` is empty where its source did not come from the store."""

    version: str
    description: Description


class Fault(NamedTuple):
    """What is wrong with the template `path`; line 0 means the template as a whole."""

    code: str
    path: str
    line: int
    text: str


@dataclass(slots=True)
class Report:
    """What was found: templates by path, in the order in which they were met, and faults."""

    used: dict[str, Used] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    roots: list[str] = field(default_factory=list)

    def variables(self) -> set[str]:
        """Names that are read and set by nobody."""
        return {name for root in self.roots for name in self._needs(root, frozenset())}

    def _needs(self, path: str, above: frozenset[str]) -> set[str]:
        if path in above or path not in self.used:
            return set()
        description = self.used[path].description
        below = {
            name
            for reference in description.references
            if reference.sees_context
            for template in reference.names
            for name in self._needs(template, above | {path})
        }
        return {*description.reads} | (below - {*description.sets})


class Inspector:
    """Looks at templates of one store."""

    def __init__(self, store: TemplateStore, describe: Describer) -> None:
        self._store = store
        self._describe = describe

    async def inspect(self, path: str, source: bytes | None = None) -> Report:
        """The template at `path`, or `source` in its place. Faults are in the report.

        UnavailableError: the store is away.
        """
        report = Report()
        report.roots = [path, *await self._variants(path, report)]
        known = {path: Blob(source, "")} if source is not None else {}
        todo = deque((root, Reference("", [root], 0), "") for root in report.roots)
        seen: set[str] = set()
        absent: set[str] = set()
        while todo:
            name, reference, referrer = todo.popleft()
            if name in seen:
                continue
            seen.add(name)
            if len(report.used) >= MOST_TEMPLATES:
                text = f"more than {MOST_TEMPLATES} templates"
                report.faults.append(Fault(ReasonCode.TEMPLATE_INVALID, path, 0, text))
                break
            try:
                blob = known.get(name) or await self._store.read(name, LARGEST_TEMPLATE)
            except NotFoundError:
                absent.add(name)
                continue
            except (InvalidInputError, TooLargeError) as exc:
                text = f"template {exc.message}"
                report.faults.append(Fault(ReasonCode.TEMPLATE_INVALID, referrer or name, reference.line, text))
                continue
            description = await self._describe(name, blob.content)
            report.used[name] = Used(blob.version, description)
            if description.code:
                report.faults.append(Fault(description.code, name, description.line, description.text))
            todo.extend((each, further, name) for further in description.references for each in further.names)
        report.faults.extend(_missing(path, report.used, absent))
        return report

    async def _variants(self, path: str, report: Report) -> list[str]:
        try:
            return await list_variants(self._store, path)
        except TemplateFailureError as exc:
            report.faults.append(Fault(exc.code, path, 0, exc.text))
            return []


def _missing(path: str, used: dict[str, Used], absent: set[str]) -> Iterable[Fault]:
    """What is not in the store, at each place that cannot do without it."""
    if path in absent and path not in used:
        yield Fault(ReasonCode.TEMPLATE_MISSING, path, 0, f"template {path} is not in the template store")
    for name, (_, description) in used.items():
        for reference in description.references:
            if not reference.optional and absent.issuperset(reference.names):
                text = f"template {' or '.join(reference.names)} is not in the template store"
                yield Fault(ReasonCode.TEMPLATE_MISSING, name, reference.line, text)
