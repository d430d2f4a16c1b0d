"""Templates in shared memory, over real worker processes: how often each is read and compiled, and what remains."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import psutil
import pytest

from tests.integration.renderer.rig import Renderer, Start, codes

WORKERS = 8
# Python imports it in every process that finds it, so that what workers compile is seen from outside.
COUNT_COMPILING = """
import os
from jinja2 import Environment

plain = Environment.compile

def compile(self, source, name=None, *arguments, **named):
    with open({log!r}, "a") as log:
        log.write(f"{{name}} {{'html' if self.autoescape else 'text'}}\\n")
    return plain(self, source, name, *arguments, **named)

Environment.compile = compile
"""


KILL_COMPILING = """
import os, signal
from jinja2 import Environment

plain = Environment.compile

def compile(self, source, name=None, *arguments, **named):
    for left in sorted(os.listdir({lives!r})):
        os.unlink(os.path.join({lives!r}, left))
        os.kill(os.getpid(), signal.SIGKILL)
    return plain(self, source, name, *arguments, **named)

Environment.compile = compile
"""


@pytest.fixture
def compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Counter[str]]:
    """What all processes that are started from now on have compiled: `path html` or `path text`, how often."""
    log = tmp_path / "compiled"
    log.touch()
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(COUNT_COMPILING.format(log=str(log)))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    return lambda: Counter(log.read_text().splitlines())


def files(renderer: Renderer) -> set[str]:
    """All that is in the cache's folder."""
    cache = renderer.folder.parent / "cache"
    return {str(path.relative_to(cache)) for path in cache.rglob("*")}


def templates(renderer: Renderer) -> list[Path]:
    """The files of templates in it."""
    return list((renderer.folder.parent / "cache").glob("*/templates/*"))


def mapped(worker: psutil.Process) -> int:
    """How many files of templates a worker has mapped."""
    return sum("/templates/" in region.path for region in worker.memory_maps())


async def used_by_all_workers(renderer: Renderer, render: Callable[[], Awaitable[object]], count: int) -> None:
    """Renders until each worker has mapped `count` templates."""
    for _ in range(30):
        await asyncio.gather(*[render() for _ in range(2 * WORKERS)])
        if all(mapped(worker) == count for worker in renderer.workers()):
            return
    pytest.fail("not all workers came to render")


async def test_version_is_read_and_compiled_once_for_eight_workers(
    start: Start, compiled: Callable[[], Counter[str]], read: Counter[str]
) -> None:
    renderer = await start(render_workers=WORKERS, template_ttl=3600)
    renderer.write("inner.html", "{% include 'foot.html' %}{{ x }}")
    renderer.write("foot.html", "foot")
    recipients = [{"context": {"x": "y" * 100}}] * 200
    await used_by_all_workers(renderer, lambda: renderer.render(*recipients), 3)
    renderer.write("inner.html", "edited; pinned versions are read no more")
    versions = (await renderer.warm("outer.html", "inner.html")).versions
    await asyncio.gather(*[renderer.render(*recipients, versions=versions) for _ in range(WORKERS)])
    paths = ["outer.html", "inner.html", "foot.html"]
    assert read == Counter(paths)
    assert len(templates(renderer)) == len(paths)
    made = {name: count for name, count in compiled().items() if not name.startswith("subject_template")}
    assert made == {f"{path} {kind}": 1 for path in paths for kind in ("html", "text")}


async def test_file_that_a_worker_misses_is_made_again(start: Start, read: Counter[str]) -> None:
    """What eviction between the front's look and the worker's does, and what damage does."""
    renderer = await start()
    for loss in ("unlinked", "cut", "damaged"):
        renderer.write("inner.html", loss)
        before = set(templates(renderer))
        versions = (await renderer.warm("outer.html", "inner.html")).versions
        read.clear()
        for path in set(templates(renderer)) - before:
            content = path.read_bytes()
            if loss == "unlinked":
                path.unlink()
            else:
                path.write_bytes(content[:-1] if loss == "cut" else content[:-1] + bytes([content[-1] ^ 1]))
        answers = await renderer.render({}, {}, versions=versions)
        assert [answer.text for answer in answers] == [loss] * 2
        assert read["inner.html"] == 1
    assert len(templates(renderer)) == 4


async def test_more_templates_than_there_is_room_for_are_rendered_all_the_same(start: Start) -> None:
    room = 16 * 1024**2
    renderer = await start(render_workers=2, template_cache_bytes=room)
    groups = [f"group-{n}.html" for n in range(6)]
    for path in groups:  # the file of each has twice that many bytes
        renderer.write(path, "{% if gone is defined %}{{ 'x'|center(2000000) }}{% endif %}" + path)
    sms = {"outer_template": "", "subject_template": ""}
    answers = await asyncio.gather(*[renderer.render({}, inner_template=path, **sms) for path in groups * 3])
    assert [answer.text for [answer] in answers] == groups * 3
    assert sum(path.stat().st_size for path in templates(renderer)) <= room
    assert len(templates(renderer)) < len(groups)


async def test_worker_that_is_killed_while_it_compiles_does_not_break_the_template(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lives = tmp_path / "lives"
    for folder in (lives, tmp_path / "site"):
        folder.mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(KILL_COMPILING.format(lives=str(lives)))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    renderer = await start()
    for deaths, failure in ((1, ""), (3, "compiling inner.html ended its worker more than once")):
        for number in range(deaths):
            (lives / str(number)).touch()
        renderer.write("inner.html", f"{deaths} {{{{ x }}}}")
        warmed = await renderer.warm("inner.html")
        assert warmed.failure.text == failure
        assert bool(warmed.versions) != bool(failure)
    assert (await renderer.warm("inner.html")).versions, "what killed the workers was not the template"


async def test_killed_workers_leave_nothing_behind(start: Start) -> None:
    renderer = await start(render_workers=2)
    good, endless = (
        {"name": "a.pdf", "html": html} for html in ("good", "<p style='break-after: page'>a</p>" * 20_000)
    )
    await renderer.render({"context": {"x": 1}})
    before = files(renderer)
    call = asyncio.create_task(renderer.render({"context": {"x": 1}, "pdf_attachments": [endless]}))
    async with asyncio.timeout(20):
        while not any(name.endswith(".lock") for name in files(renderer)):
            await asyncio.sleep(0.02)
    for worker in renderer.workers():
        worker.kill()
    call.cancel()
    await asyncio.wait([call])
    assert codes(await renderer.render({"context": {"x": 1}, "pdf_attachments": [good]})) == [""]
    assert before < files(renderer)
    [pdf] = files(renderer) - before
    assert "/pdfs/" in pdf
