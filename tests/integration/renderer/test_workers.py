"""Workers that are slow, bombed, crashed or killed: what becomes of them and of the messages."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import time
from pathlib import Path

import psutil

from tests.integration.renderer.rig import Start, codes

SLOW = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"


async def test_message_past_its_deadline_fails_alone_and_its_worker_is_replaced(start: Start) -> None:
    renderer = await start(render_timeout=0.4)
    renderer.write("inner.html", "{% if bomb %}" + SLOW + "{% endif %}{{ x }}")
    before = renderer.workers()
    recipients = [{"context": {"x": n, "bomb": n in {3, 9}}} for n in range(12)]
    answers = await renderer.render(*recipients)
    assert {answer.id for answer in answers if answer.failure.code == "render_timeout"} == {"m3", "m9"}
    assert sum(not answer.HasField("failure") for answer in answers) == 10
    [answer] = await renderer.render({"context": {"x": 1, "bomb": False}})
    assert answer.text == "1"
    assert {worker.pid for worker in renderer.workers()}.isdisjoint(worker.pid for worker in before)
    assert len(renderer.workers()) == 1


async def test_template_that_never_ends_does_not_hold_up_a_whole_slice(start: Start) -> None:
    renderer = await start(render_timeout=0.3)
    renderer.write("inner.html", SLOW)
    started = time.monotonic()
    answers = await renderer.render(*[{}] * 100)
    assert set(codes(answers)) == {"render_timeout"}
    assert time.monotonic() - started < 15


async def test_message_that_crashes_its_worker_fails_alone(start: Start) -> None:
    renderer = await start(render_timeout=30)
    # A tree this deep is more than the stack of the library that inlines CSS holds.
    renderer.write("outer.html", "<style>p{margin:0}</style>{{ content }}")
    renderer.write("inner.html", "{% for i in range(depth) %}<div>{% endfor %}x")
    answers = await renderer.render(*[{"context": {"depth": 14_000 if n == 2 else 1}} for n in range(4)])
    by_id = sorted(answers, key=lambda answer: answer.id)
    assert codes(by_id) == ["", "", "render_failed", ""]
    assert by_id[2].failure.text.startswith("inner.html in outer.html, CSS: rendering it ended the worker")


async def test_killed_workers_cost_no_message(start: Start) -> None:
    renderer = await start(render_workers=2)
    versions = (await renderer.warm("outer.html", "inner.html")).versions
    open_before = psutil.Process().num_fds()
    killed: set[int] = set()

    async def kill() -> None:
        while len(killed) < 3:
            await asyncio.sleep(0.2)
            # A worker that has just been started is let live, else none would ever be.
            for worker in [worker for worker in renderer.workers() if time.time() - worker.create_time() > 3]:
                worker.kill()
                killed.add(worker.pid)

    killing = asyncio.create_task(kill())
    while not killing.done():
        answers = await renderer.render(*[{"context": {"x": "y" * 300}}] * 500, versions=versions)
        assert set(codes(answers)) == {""}
    await killing
    await renderer.render({"context": {"x": 1}})
    gc.collect()
    assert psutil.Process().num_fds() <= open_before


async def test_worker_is_confined(start: Start) -> None:
    """Memory by the bombs; here what a crash or a machine without memory does."""
    [worker] = (await start()).workers()
    assert worker.rlimit(psutil.RLIMIT_CORE) == (0, 0)
    assert Path(f"/proc/{worker.pid}/oom_score_adj").read_text().strip() == "1000"


async def test_call_that_is_given_up_frees_its_worker(start: Start) -> None:
    renderer = await start(render_timeout=30)
    renderer.write("slow.html", SLOW)
    call = asyncio.create_task(renderer.render({}, inner_template="slow.html"))
    await asyncio.sleep(1)
    call.cancel()
    [answer] = await renderer.render({"context": {"x": 1}})
    assert answer.text == "1"


async def test_worker_that_holds_too_much_memory_is_replaced_between_slices(start: Start) -> None:
    renderer = await start(render_recycle=128 * 1024**2, render_timeout=30)
    before = renderer.workers()
    assert codes(await renderer.render({"context": {"x": 1}})) == [""]
    assert renderer.workers() == before
    for number in range(4):  # a worker keeps what it has loaded: of each of these 14 MB mapped, and 7 MB as code
        renderer.write("inner.html", f"{{% if gone is defined %}}{{{{ 'x'|center(7000000) }}}}{{% endif %}}{number}")
        [answer] = await renderer.render({})
        assert answer.text == str(number)
    assert renderer.workers() != before


async def test_killed_renderer_takes_its_workers_along_and_the_next_one_its_folder(tmp_path: Path) -> None:
    first, workers = await started(tmp_path)
    [left] = (tmp_path / "cache").iterdir()
    first.kill()
    await first.wait()
    _, alive = await asyncio.to_thread(psutil.wait_procs, workers, timeout=5)
    assert not alive
    assert left.exists()
    second, _ = await started(tmp_path)
    assert not left.exists()
    assert len(list((tmp_path / "cache").iterdir())) == 1
    second.terminate()
    assert await second.wait() == 0
    assert not list((tmp_path / "cache").iterdir())


async def started(tmp_path: Path) -> tuple[asyncio.subprocess.Process, list[psutil.Process]]:
    """A renderer as a process of its own, and its workers."""
    environment = os.environ | {
        "MORPHEUS_TEMPLATES_URL": tmp_path.as_uri(),
        "MORPHEUS_TEMPLATE_CACHE": str(tmp_path / "cache"),
        "MORPHEUS_RENDERER_ADDR": "127.0.0.1:0",
        "MORPHEUS_RENDER_WORKERS": "2",
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.renderer"), env=environment, stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    while b"service_started" not in await process.stderr.readline():
        pass
    workers = psutil.Process(process.pid).children()
    assert len(workers) == 2
    return process, workers
