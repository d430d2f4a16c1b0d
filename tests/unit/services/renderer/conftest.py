"""A renderer without processes: templates in a dictionary, answers as messages."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest
from morpheus.renderer.v1 import renderer_pb2

from services.renderer.analysis import compile_template
from services.renderer.compose import SliceRenderer
from services.renderer.frames import Compile, Compiled, Content, Progress
from services.renderer.pdf_cache import SharedPdfs
from services.renderer.pinned import TemplateSets
from services.renderer.settings import RenderSettings
from services.renderer.shared_cache import OwnedCache


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[OwnedCache]:
    """An empty shared cache."""
    owned = OwnedCache.create(tmp_path)
    yield owned
    owned.remove()


def publish(cache: OwnedCache, path: str, source: bytes) -> Compiled:
    """Compiles a template into the cache, when it can be; its version is the SHA-256 of `source`."""
    compiled = compile_template(Compile(path, source))
    if not compiled.code:
        cache.put(path, hashlib.sha256(source).hexdigest(), compiled.content)
    return compiled


Sent = tuple[renderer_pb2.RenderedMessage, ...]


@pytest.fixture
def render(cache: OwnedCache) -> Callable[..., Sent]:
    """Renders recipients (maps of fields) with templates (path to source) and gives the answers."""

    def call(
        templates: dict[str, str],
        *recipients: dict[str, Any],
        files: dict[str, bytes] | None = None,
        settings: RenderSettings | None = None,
        **group: Any,
    ) -> Sent:
        versions = {}
        for path, source in templates.items():
            versions[path] = hashlib.sha256(source.encode()).hexdigest()
            publish(cache, path, source.encode())

        def fetch(path: str) -> Content:
            return Content(files[path]) if files and path in files else Content(error=f"{path} is not there.")

        context = group.pop("context", {})
        shared: dict[str, Any] = {"group_id": "g1", "company_code": "acme", "outer_template": "outer.html"}
        shared |= {"inner_template": "inner.html", "subject_template": "Hello", "versions": versions}
        request = renderer_pb2.RenderMessagesRequest(
            group=renderer_pb2.GroupContent(**(shared | group), context=msgpack.packb(context))
        )
        for index, recipient in enumerate(recipients or ({},)):
            fields = {"id": f"m{index}", "address": "ann@example.com"} | recipient
            if isinstance(fields.get("context"), dict):
                fields["context"] = msgpack.packb(fields["context"])
            request.messages.add(**fields)
        progress = Progress.create(cache.folder / "progress")
        pdfs = SharedPdfs(cache.folder / "pdfs", 1_000_000)
        renderer = SliceRenderer(fetch, progress, pdfs, settings or RenderSettings())
        strict = request.group.missing_variables != "empty"
        most_output = (settings or RenderSettings()).max_message
        pinned = TemplateSets(cache, most_output).get(versions, strict=strict)
        return tuple(renderer_pb2.RenderedMessage.FromString(answer) for answer in renderer.render(request, pinned))

    return call
