"""Which template has which version: closures of includes for WarmTemplates, pinned versions for RenderMessages."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping

import msgspec

from morpheus_kit.blobs import Blob, TemplateStore
from morpheus_kit.errors import InvalidInputError, NotFoundError, TemplateChangedError, TooLargeError
from morpheus_kit.reasons import ReasonCode
from services.renderer import frames
from services.renderer.frames import Frame, Inspect, Inspected
from services.renderer.locales import prefix_of, variants
from services.renderer.pool import WorkerDiedError, WorkerPool
from services.renderer.shared_cache import OwnedCache

LARGEST_TEMPLATE = 1024 * 1024
MOST_TEMPLATES = 200
MOST_KNOWN = 4096
MOST_BESIDE = 1000


class TemplateFailureError(Exception):
    """A template cannot be used: `code` and `text` say which and why."""

    def __init__(self, code: ReasonCode | str, text: str) -> None:
        self.code = str(code)
        self.text = text
        super().__init__(text)


class Catalog:
    """Reads templates from the store into the shared cache, and knows what each refers to."""

    def __init__(self, store: TemplateStore, cache: OwnedCache, pool: WorkerPool) -> None:
        self._store = store
        self._cache = cache
        self._pool = pool
        self._inspected: OrderedDict[Inspect, Inspected] = OrderedDict()

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
            versions[path] = await self._version(path, wanted_by)
            inspected = await self._inspect(Inspect(path, versions[path]))
            for names in [*inspected.required, *([name] for name in inspected.optional)]:
                found = [name for name in names if await self._exists(name, versions, absent)]
                todo.extend((name, path) for name in found)
                if not found and names not in [[name] for name in inspected.optional]:
                    raise _missing(" or ".join(names), path)
        return versions

    async def ensure(self, versions: Mapping[str, str]) -> None:
        """Sees that the cache has all of `versions`. TemplateChangedError when one cannot be had any more."""
        for path, version in versions.items():
            if self._cache.has(version):
                continue
            try:
                blob = await self._store.read(path, LARGEST_TEMPLATE, version)
            except (InvalidInputError, NotFoundError, TooLargeError) as exc:
                raise TemplateChangedError(f"Template {path} is gone; the group started with it.") from exc
            if blob.version != version:
                raise TemplateChangedError(f"Template {path} was changed after the group started.")
            self._cache.put(version, blob.content)

    async def _variants(self, path: str) -> list[str]:
        """The variants of `path` for locales, and the texts beside them, that the store has now."""
        prefix = prefix_of(path)
        try:
            return variants(path, await self._store.list(prefix, MOST_BESIDE)) if prefix else []
        except (InvalidInputError, TooLargeError) as exc:
            raise TemplateFailureError(ReasonCode.TEMPLATE_INVALID, f"template {exc.message}") from exc

    async def _version(self, path: str, wanted_by: str) -> str:
        blob = await self._read(path, wanted_by)
        self._cache.put(blob.version, blob.content)
        return blob.version

    async def _read(self, path: str, wanted_by: str) -> Blob:
        try:
            return await self._store.read(path, LARGEST_TEMPLATE)
        except NotFoundError as exc:
            raise _missing(path, wanted_by) from exc
        except (InvalidInputError, TooLargeError) as exc:
            raise TemplateFailureError(ReasonCode.TEMPLATE_INVALID, f"template {exc.message}") from exc

    async def _exists(self, path: str, versions: Mapping[str, str], absent: set[str]) -> bool:
        if path in versions:
            return True
        if path in absent:
            return False
        try:
            await self._store.read(path, LARGEST_TEMPLATE)
        except NotFoundError:
            absent.add(path)
            return False
        except (InvalidInputError, TooLargeError) as exc:
            raise TemplateFailureError(ReasonCode.TEMPLATE_INVALID, f"template {exc.message}") from exc
        return True

    async def _inspect(self, order: Inspect) -> Inspected:
        known = self._inspected.get(order)
        if known is None:
            known = await self._ask_worker(order)
            self._inspected[order] = known
            if len(self._inspected) > MOST_KNOWN:
                self._inspected.popitem(last=False)
        if known.code:
            raise TemplateFailureError(known.code, known.text)
        return known

    async def _ask_worker(self, order: Inspect) -> Inspected:
        async with self._pool.worker() as worker:
            try:
                await worker.order(Frame(frames.INSPECT, msgspec.msgpack.encode(order)))
                answer = await worker.receive()
            except WorkerDiedError as exc:
                what = "takes too long" if exc.timed_out else "ended its worker"
                return Inspected(code=ReasonCode.TEMPLATE_INVALID.value, text=f"compiling {order.path} {what}")
        return msgspec.msgpack.decode(answer.payload, type=Inspected)


def _missing(path: str, wanted_by: str) -> TemplateFailureError:
    used = f" (used by {wanted_by})" if wanted_by else ""
    return TemplateFailureError(ReasonCode.TEMPLATE_MISSING, f"template {path} is not in the template store{used}")
