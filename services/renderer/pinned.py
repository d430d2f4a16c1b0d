"""Loaded templates of one set of pinned versions, and the few latest such sets of a worker."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, MutableMapping
from typing import Any
from weakref import WeakValueDictionary

from jinja2 import BaseLoader, Environment, Template, TemplateNotFound

from services.renderer.environment import LARGEST_OUTPUT, Sandbox
from services.renderer.filters import Formats
from services.renderer.markdown import MarkdownTemplates, written
from services.renderer.shared_cache import CompiledTemplate, LostTemplatesError, SharedCache

MOST_SETS = 64
# Each mapped file takes a descriptor; most systems allow 1,024 of them.
MOST_TEMPLATES = 512
MOST_SUBJECTS = 64
SUBJECT = "subject_template"


class PinnedLoader(BaseLoader):
    """Loads each path in the version that its group is pinned to, and no other path. Compiles nothing."""

    def __init__(self, templates: Mapping[str, CompiledTemplate], *, html: bool) -> None:
        self._templates = templates
        self._html = html

    def load(self, environment: Environment, name: str, globals: MutableMapping[str, Any] | None = None) -> Template:  # noqa: A002  Jinja2's
        """TemplateNotFound for what is not of the set."""
        compiled = self._templates.get(name)
        if compiled is None:
            raise TemplateNotFound(name)
        code = compiled.code(html=self._html)
        return environment.template_class.from_code(environment, code, {} if globals is None else globals)


class PinnedTemplates:
    """Templates of one set of versions, each loaded once; HTML escapes what is printed, text does not."""

    def __init__(
        self,
        templates: dict[str, CompiledTemplate],
        versions: Mapping[str, str],
        *,
        strict: bool,
        most_output: int = LARGEST_OUTPUT,
    ) -> None:
        """`templates` by path; `most_output`: characters that one may print."""
        self._templates = templates
        self.versions = versions
        self.formats = Formats()
        common: dict[str, Any] = {"strict": strict, "formats": self.formats, "most_output": most_output}
        escaped, plain = (PinnedLoader(templates, html=html) for html in (True, False))
        self._sandboxes = {
            True: Sandbox(html=True, loader=escaped, **common),
            False: Sandbox(html=False, loader=plain, **common),
        }
        markdown = Sandbox(html=True, loader=escaped, finalize=written, **common)
        self._sandboxes[True].load_markdown = MarkdownTemplates(markdown).get
        self._subjects: OrderedDict[str, Template] = OrderedDict()
        self.globals: dict[str, Any] = dict(self._sandboxes[True].globals)

    def __len__(self) -> int:
        return len(self._templates)

    def close(self) -> None:
        """Lets go of its files now; what an environment and its templates hold of each other is freed later."""
        self._templates.clear()

    def html(self, path: str) -> Template:
        return self._sandboxes[True].get_template(path)

    def text(self, path: str) -> Template:
        return self._sandboxes[False].get_template(path)

    def subject(self, source: str) -> Template:
        """Compiles `source` when it is not among the latest."""
        template = self._subjects.get(source)
        if template is None:
            sandbox = self._sandboxes[False]
            code = sandbox.compile(source, SUBJECT, SUBJECT)
            template = sandbox.template_class.from_code(sandbox, code, dict(sandbox.globals))
            self._subjects[source] = template
            if len(self._subjects) > MOST_SUBJECTS:
                self._subjects.popitem(last=False)
        return template


class TemplateSets:
    """The latest sets of a worker; a group's slices find theirs again. Sets share what they have in common."""

    def __init__(self, cache: SharedCache, most_output: int = LARGEST_OUTPUT) -> None:
        self._cache = cache
        self._most_output = most_output
        self._sets: OrderedDict[tuple[bool, frozenset[tuple[str, str]]], PinnedTemplates] = OrderedDict()
        self._templates: WeakValueDictionary[tuple[str, str], CompiledTemplate] = WeakValueDictionary()

    def get(self, versions: Mapping[str, str], *, strict: bool) -> PinnedTemplates:
        """Maps all of a new set at once, so that it is whole for as long as it is kept.

        Raises:
            LostTemplatesError: some files are not there, or not what was written.
        """
        key = (strict, frozenset(versions.items()))
        found = self._sets.get(key)
        if found is None:
            templates = self._map(versions)
            found = PinnedTemplates(templates, dict(versions), strict=strict, most_output=self._most_output)
            self._sets[key] = found
            self._make_room()
        else:
            self._sets.move_to_end(key)
        return found

    def _map(self, versions: Mapping[str, str]) -> dict[str, CompiledTemplate]:
        mapped: dict[str, CompiledTemplate] = {}
        for path, version in versions.items():
            template = self._templates.get((path, version)) or self._cache.load(path, version)
            if template is not None:
                self._templates[path, version] = mapped[path] = template
        if len(mapped) < len(versions):
            raise LostTemplatesError({path: version for path, version in versions.items() if path not in mapped})
        return mapped

    def _make_room(self) -> None:
        while len(self._sets) > 1 and (
            len(self._sets) > MOST_SETS or sum(map(len, self._sets.values())) > MOST_TEMPLATES
        ):
            self._sets.popitem(last=False)[1].close()
