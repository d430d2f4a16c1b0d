"""Loaded templates of one set of pinned versions, and the few latest such sets of a worker."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from jinja2 import FileSystemBytecodeCache, Template, nodes

from morpheus_kit.reasons import ReasonCode
from services.renderer.environment import PinnedLoader, Sandbox
from services.renderer.failures import explain
from services.renderer.filters import Formats
from services.renderer.frames import Inspect, Inspected
from services.renderer.markdown import MarkdownTemplates, written
from services.renderer.shared_cache import SharedCache

MOST_SETS = 64
MOST_SUBJECTS = 64
SUBJECT = "subject_template"
NOT_LITERAL = "names of included templates must be literal, so that their versions can be pinned"


class PinnedTemplates:
    """Templates of one set of versions, each loaded once; HTML escapes what is printed, text does not."""

    def __init__(self, cache: SharedCache, versions: Mapping[str, str], *, strict: bool) -> None:
        self.versions = versions
        self.formats = Formats()
        common: dict[str, Any] = {
            "strict": strict,
            "loader": PinnedLoader(cache, versions),
            "formats": self.formats,
        }
        html, text = (_bytecode(cache, kind) for kind in ("html", "text"))
        markdown = Sandbox(html=True, bytecode=html, finalize=written, **common)  # compiled as HTML is
        self._sandboxes = {
            "html": Sandbox(html=True, bytecode=html, **common),
            "text": Sandbox(html=False, bytecode=text, **common),
        }
        self._sandboxes["html"].load_markdown = MarkdownTemplates(markdown).get
        self._subjects: OrderedDict[str, Template] = OrderedDict()
        self.globals: dict[str, Any] = dict(self._sandboxes["html"].globals)

    def html(self, path: str) -> Template:
        return self._sandboxes["html"].get_template(path)

    def text(self, path: str) -> Template:
        return self._sandboxes["text"].get_template(path)

    def subject(self, source: str) -> Template:
        """Compiles `source` when it is not among the latest."""
        template = self._subjects.get(source)
        if template is None:
            sandbox = self._sandboxes["text"]
            code = sandbox.compile(source, name=SUBJECT)
            template = Template.from_code(sandbox, code, dict(sandbox.globals))
            self._subjects[source] = template
            if len(self._subjects) > MOST_SUBJECTS:
                self._subjects.popitem(last=False)
        return template


def _bytecode(cache: SharedCache, kind: str) -> FileSystemBytecodeCache:
    return FileSystemBytecodeCache(str(cache.bytecode_folder(kind)), "%s.jinja")


class TemplateSets:
    """The latest sets of a worker; a group's slices find theirs again."""

    def __init__(self, cache: SharedCache) -> None:
        self._cache = cache
        self._sets: OrderedDict[tuple[bool, frozenset[tuple[str, str]]], PinnedTemplates] = OrderedDict()

    def get(self, versions: Mapping[str, str], *, strict: bool) -> PinnedTemplates:
        key = (strict, frozenset(versions.items()))
        found = self._sets.get(key)
        if found is None:
            found = self._sets[key] = PinnedTemplates(self._cache, dict(versions), strict=strict)
            if len(self._sets) > MOST_SETS:
                self._sets.popitem(last=False)
        else:
            self._sets.move_to_end(key)
        return found

    def inspect(self, order: Inspect) -> Inspected:
        """Compiles one template, so that its code is shared, and says what it refers to."""
        pinned = self.get({order.path: order.version}, strict=True)
        try:
            source = self._cache.read(order.version).decode(errors="replace")
            tree = pinned.html(order.path).environment.parse(source, order.path)
            return references(tree, order.path)
        except Exception as exc:  # noqa: BLE001  whatever a template's source can raise concerns that template only
            error = explain(exc)
            return Inspected(code=error.code.value, text=error.text)


def references(tree: nodes.Template, path: str) -> Inspected:
    """The templates that `tree` (parsed from `path`) extends, includes and imports."""
    required: list[list[str]] = []
    optional: list[str] = []
    for node in tree.find_all((nodes.Extends, nodes.Include, nodes.Import, nodes.FromImport)):
        names = _literal_names(node.template)  # type: ignore[attr-defined]  # all four have it
        if names is None:
            return Inspected(
                code=ReasonCode.TEMPLATE_INVALID.value,
                text=f"{path}, line {node.lineno}: {NOT_LITERAL}",
            )
        if isinstance(node, nodes.Include) and node.ignore_missing:
            optional.extend(names)
        else:
            required.append(names)
    return Inspected(required, optional)


def _literal_names(node: nodes.Expr) -> list[str] | None:
    """None when a name is known only while rendering."""
    if isinstance(node, nodes.Const):
        values: list[Any] = list(node.value) if isinstance(node.value, (tuple, list)) else [node.value]
        return values if all(isinstance(value, str) for value in values) else None
    if isinstance(node, (nodes.Tuple, nodes.List)):
        names = [_literal_names(item) for item in node.items]
        return None if any(name is None for name in names) else [name for part in names for name in part or []]
    return None
