"""Which template has which version: closures of includes for WarmTemplates, pinned versions for RenderMessages."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from morpheus_kit import logs
from morpheus_kit.blobs import Blob, TemplateStore
from morpheus_kit.clock import Clock
from morpheus_kit.errors import InvalidInputError, NotFoundError, TemplateChangedError, TooLargeError
from morpheus_kit.reasons import ReasonCode
from services.renderer.frames import Compiled
from services.renderer.locales import prefix_of, variants
from services.renderer.shared_cache import OwnedCache
from services.renderer.turns import Turns

log = logs.get_logger(__name__)

LARGEST_TEMPLATE = 1024 * 1024
MOST_TEMPLATES = 200
MOST_KNOWN = 4096
MOST_BESIDE = 1000

Compiler = Callable[[str, bytes], Awaitable[Compiled]]
"""Compiles a template, given its path and its source."""


class TemplateFailureError(Exception):
    """A template cannot be used: `code` and `text` say which and why."""

    def __init__(self, code: ReasonCode | str, text: str) -> None:
        self.code = str(code)
        self.text = text
        super().__init__(text)


class Seen(NamedTuple):
    """The version that a path had, good until `until` (monotonic seconds)."""

    version: str
    until: float


class Listed(NamedTuple):
    """What stands beside a path, good until `until`."""

    names: Sequence[str]
    until: float


class Catalog:
    """Brings templates from the store into the shared cache, and knows what each refers to.

    Who wants the same template at the same time waits for one another: each version is read once and compiled once.
    """

    def __init__(self, store: TemplateStore, cache: OwnedCache, compiler: Compiler, clock: Clock, ttl: float) -> None:
        """`ttl`: seconds for which a path is taken to have the version that it had."""
        self._store = store
        self._cache = cache
        self._compile = compiler
        self._clock = clock
        self._ttl = ttl
        self._seen: OrderedDict[str, Seen] = OrderedDict()
        self._listed: OrderedDict[str, Listed] = OrderedDict()
        self._compiled: OrderedDict[tuple[str, str], Compiled] = OrderedDict()
        self._turns = Turns()

    async def warm(self, paths: Iterable[str]) -> dict[str, str]:
        """Present versions of `paths` and of everything that they extend, include or import.

        TemplateFailureError names the template that is missing or broken.
        """
        paths = list(paths)
        versions: dict[str, str] = {}
        absent: set[str] = set()
        todo: deque[tuple[str, str]] = deque((path, "") for path in paths)
        todo.extend([(variant, path) for path in paths for variant in await self._variants(path)])
        while todo:
            path, wanted_by = todo.popleft()
            if path in versions:
                continue
            if len(versions) >= MOST_TEMPLATES:
                raise TemplateFailureError(ReasonCode.TEMPLATE_INVALID, f"more than {MOST_TEMPLATES} templates")
            try:
                versions[path] = await self._present(path)
            except NotFoundError as exc:
                raise _missing(path, wanted_by) from exc
            compiled = self._compiled[path, versions[path]]
            for names in [*compiled.required, *([name] for name in compiled.optional)]:
                found = [name for name in names if name in versions or await self._exists(name, absent)]
                todo.extend((name, path) for name in found)
                if not found and names not in [[name] for name in compiled.optional]:
                    raise _missing(" or ".join(names), path)
        return versions

    async def ensure(self, versions: Mapping[str, str]) -> None:
        """Sees that the cache has all of `versions`.

        Raises:
            TemplateChangedError: one cannot be had any more.
            TemplateFailureError: one is broken.
        """
        for path, version in versions.items():
            if self._cache.has(path, version):
                continue
            async with self._turns.of(path):
                if not self._cache.has(path, version):
                    await self._publish(path, await self._read_pinned(path, version))

    async def replace(self, versions: Mapping[str, str]) -> None:
        """Makes files again that a worker could not use."""
        for path, version in versions.items():
            log.warning("shared_template_lost", template=path)
            self._cache.drop(path, version)
        await self.ensure(versions)

    async def _present(self, path: str) -> str:
        """The version of `path`, asked for when it was last seen too long ago; then it is in the cache."""
        async with self._turns.of(path):
            seen = self._seen.get(path)
            fresh = seen is not None and self._clock.monotonic() < seen.until
            if seen is not None and fresh and (path, seen.version) in self._compiled:
                self._known(path, seen.version)
                return seen.version
            try:
                blob = await self._store.read(path, LARGEST_TEMPLATE)
            except (InvalidInputError, TooLargeError) as exc:
                raise TemplateFailureError(ReasonCode.TEMPLATE_INVALID, f"template {exc.message}") from exc
            self._seen[path] = Seen(blob.version, self._clock.monotonic() + self._ttl)
            _keep_latest(self._seen, path)
            if (path, blob.version) not in self._compiled or not self._cache.has(path, blob.version):
                await self._publish(path, blob)
            self._known(path, blob.version)
            return blob.version

    async def _variants(self, path: str) -> Sequence[str]:
        """The variants of `path` for locales, and the texts beside them; looked up as often as a template is."""
        async with self._turns.of(path):
            listed = self._listed.get(path)
            if listed is None or self._clock.monotonic() >= listed.until:
                names = await list_variants(self._store, path)
                listed = self._listed[path] = Listed(names, self._clock.monotonic() + self._ttl)
            _keep_latest(self._listed, path)
            return listed.names

    async def _read_pinned(self, path: str, version: str) -> Blob:
        try:
            blob = await self._store.read(path, LARGEST_TEMPLATE, version)
        except (InvalidInputError, NotFoundError, TooLargeError) as exc:
            raise TemplateChangedError(f"Template {path} is gone; the group started with it.") from exc
        if blob.version != version:
            raise TemplateChangedError(f"Template {path} was changed after the group started.")
        return blob

    async def _publish(self, path: str, blob: Blob) -> None:
        """Compiles a version and puts it into the cache; a broken one is only remembered.

        One over which workers died or ran out of time is not: on a machine that is less busy it may be good.
        """
        compiled = await self._compile(path, blob.content)
        if compiled.died:
            raise TemplateFailureError(compiled.code, compiled.text)
        self._compiled[path, blob.version] = msgspec.structs.replace(compiled, content=b"")
        self._known(path, blob.version)
        self._cache.put(path, blob.version, compiled.content)

    def _known(self, path: str, version: str) -> None:
        """Keeps it among the latest. TemplateFailureError when it is broken."""
        _keep_latest(self._compiled, (path, version))
        compiled = self._compiled[path, version]
        if compiled.code:
            raise TemplateFailureError(compiled.code, compiled.text)

    async def _exists(self, path: str, absent: set[str]) -> bool:
        if path not in absent:
            try:
                await self._present(path)
            except NotFoundError:
                absent.add(path)
        return path not in absent


async def list_variants(store: TemplateStore, path: str) -> list[str]:
    """What stands beside `path` in the store: its variants for locales, and texts. TemplateFailureError."""
    prefix = prefix_of(path)
    try:
        return variants(path, await store.list(prefix, MOST_BESIDE)) if prefix else []
    except (InvalidInputError, TooLargeError) as exc:
        raise TemplateFailureError(ReasonCode.TEMPLATE_INVALID, f"template {exc.message}") from exc


def _keep_latest(entries: OrderedDict[Any, Any], key: object) -> None:
    entries.move_to_end(key)
    if len(entries) > MOST_KNOWN:
        entries.popitem(last=False)


def _missing(path: str, wanted_by: str) -> TemplateFailureError:
    used = f" (used by {wanted_by})" if wanted_by else ""
    return TemplateFailureError(ReasonCode.TEMPLATE_MISSING, f"template {path} is not in the template store{used}")
