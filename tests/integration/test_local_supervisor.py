"""The supervisor with small real processes in place of the services."""

import asyncio
import os
import signal
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from local.supervisor import Program, StartError, Supervisor

Lines = list[tuple[str, str]]


def alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


async def eventually(condition: object, limit: float = 10.0) -> None:
    assert callable(condition)
    async with asyncio.timeout(limit):
        while not condition():
            await asyncio.sleep(0.02)


def program(name: str, folder: Path, body: str = "signal.pause()") -> Program:
    """Says so in a file once it is up; `body` is what it does then."""
    up = folder / f"{name}.up"
    script = f"import os, signal, sys, pathlib\npathlib.Path({str(up)!r}).write_text(str(os.getpid()))\n{dedent(body)}"

    async def ready() -> bool:
        return up.exists()

    return Program(name, [sys.executable, "-c", script], ready)


async def run(supervisor: Supervisor, check: object) -> None:
    """Runs the stack, awaits `check` when it is ready, and asks it to stop."""

    async def when_ready() -> None:
        assert callable(check)
        await check()
        supervisor.stop_requested.set()

    async with asyncio.timeout(40):
        await supervisor.run(when_ready)


def supervisor_of(stages: list[list[Program]], lines: Lines) -> Supervisor:
    return Supervisor(stages, dict(os.environ), lambda name, line: lines.append((name, line)))


async def test_stages_start_one_after_the_other_and_stop_backwards(tmp_path: Path) -> None:
    log = tmp_path / "log"
    body = f"""
        def note(word):
            with open({str(log)!r}, "a") as file: file.write(word + " " + NAME + "\\n")
        signal.signal(signal.SIGTERM, lambda *_: (note("stop"), sys.exit(0)))
        note("start")
        signal.pause()
    """
    stages = [[program(name, tmp_path, f"NAME = {name!r}\n" + dedent(body))] for name in ("one", "two")]
    supervisor = supervisor_of(stages, [])
    await run(supervisor, lambda: eventually(lambda: log.exists() and log.read_text().count("start") == 2))
    assert log.read_text().splitlines() == ["start one", "start two", "stop two", "stop one"]
    assert supervisor.pids() == {}


async def test_child_that_dies_is_started_again_and_said_so(tmp_path: Path) -> None:
    lines: Lines = []
    supervisor = supervisor_of([[program("one", tmp_path)]], lines)

    async def check() -> None:
        first = supervisor.pids()["one"]
        os.kill(first, signal.SIGKILL)
        await eventually(lambda: supervisor.pids().get("one", first) != first)

    await run(supervisor, check)
    assert ("local", "one was killed by SIGKILL; starting it again in 0.5 s") in lines


async def test_child_that_ends_before_it_is_ready_fails_the_start(tmp_path: Path) -> None:
    async def never() -> bool:
        return False

    broken = Program("broken", [sys.executable, "-c", "raise SystemExit(78)"], never)
    supervisor = supervisor_of([[program("one", tmp_path)], [broken]], [])
    with pytest.RaisesGroup(pytest.RaisesExc(StartError, match="broken ended with exit code 78 before it was ready")):
        await run(supervisor, asyncio.Event().wait)
    assert supervisor.pids() == {}


async def test_output_comes_by_whole_lines_under_the_name(tmp_path: Path) -> None:
    lines: Lines = []
    body = f"""
        print("first", flush=True); print("second", file=sys.stderr); sys.stdout.write("no end"); sys.stdout.flush()
        pathlib.Path({str(tmp_path / "all")!r}).touch()
        signal.pause()
    """
    supervisor = supervisor_of([[program("one", tmp_path, body)]], lines)
    await run(supervisor, lambda: eventually((tmp_path / "all").exists))
    assert {("one", "first"), ("one", "second"), ("one", "no end")} <= set(lines)


async def test_stop_takes_the_childs_own_children_along(tmp_path: Path) -> None:
    pid_file = tmp_path / "grandchild"
    body = f"""
        import subprocess
        child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
        pathlib.Path({str(pid_file)!r}).write_text(str(child.pid))
        signal.pause()
    """
    supervisor = supervisor_of([[program("one", tmp_path, body)]], [])
    await run(supervisor, lambda: eventually(lambda: pid_file.exists() and pid_file.read_text()))
    await eventually(lambda: not alive(int(pid_file.read_text())))


async def test_child_that_ignores_sigterm_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("local.supervisor.STOP_LIMIT", 0.1)
    lines: Lines = []
    body = """
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print("deaf", flush=True)
        while True: signal.pause()
    """
    supervisor = supervisor_of([[program("one", tmp_path, body)]], lines)
    await run(supervisor, lambda: eventually(lambda: ("one", "deaf") in lines))
    assert any("did not stop" in line for name, line in lines if name == "local")
    assert supervisor.pids() == {}


async def test_children_die_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    script = dedent("""
        import asyncio, os, sys
        from pathlib import Path
        from local.supervisor import Program, Supervisor
        up = Path(sys.argv[1])
        async def ready(): return up.exists() and bool(up.read_text())
        say = f"pathlib.Path({str(up)!r}).write_text(str(os.getpid()))"
        body = f"import os, pathlib, signal; {say}; signal.pause()"
        stages = [[Program("one", [sys.executable, "-c", body], ready)]]
        async def when_ready(): print("ready", flush=True)
        asyncio.run(Supervisor(stages, dict(os.environ), lambda *_: None).run(when_ready))
    """)
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, str(tmp_path / "pid"), stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    assert await asyncio.wait_for(parent.stdout.readline(), 10) == b"ready\n"
    pid = int((tmp_path / "pid").read_text())
    assert alive(pid)
    parent.kill()
    await parent.wait()
    await eventually(lambda: not alive(pid))
