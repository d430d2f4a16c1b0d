"""The whole stack as a person starts it: `python -m local` in its own process."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import urlopen

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLES = dict(re.findall(r"<!-- example: (\w+) -->\n```\w+\n(.*?)```", README, re.DOTALL))
SERVICES = {"redis", "renderer", "tracker", "intake", "dispatcher", "gateway"}

pytestmark = pytest.mark.timeout(180)


def clean_environment(**more: str) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("MORPHEUS_", "DEMO_"))} | more


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def eventually(condition: Callable[[], object], limit: float) -> None:
    until = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < until, "did not happen in time"
        time.sleep(0.05)


class Stack:
    """A running stack; its output is gathered while it runs."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.port = free_port()
        self.lines: list[str] = []
        command = [sys.executable, "-m", "local", "--home", str(home), "--port", str(self.port)]
        self.process = subprocess.Popen(
            command, env=clean_environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        eventually(lambda: self.said("ready: ") or self.process.poll() is not None, 90)
        if self.process.poll() is not None:
            self.close()
            pytest.fail("\n".join(self.lines))

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join(10)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.lines.extend(iter(self.process.stdout.readline, ""))

    def said(self, text: str) -> bool:
        return any(text in line for line in list(self.lines))

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def child(self, service: str) -> psutil.Process | None:
        for one in self.children():
            with contextlib.suppress(psutil.Error):  # it ended while we looked
                if service in one.cmdline() and one.ppid() == self.process.pid:
                    return one
        return None


def runs(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def still_running(processes: list[psutil.Process], limit: float) -> list[psutil.Process]:
    """Those that outlive the limit; a dead one that nobody has waited for yet does not run."""

    def living() -> list[psutil.Process]:
        return [one for one in processes if runs(one)]

    until = time.monotonic() + limit
    while living() and time.monotonic() < until:
        time.sleep(0.05)
    return living()


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    running = Stack(tmp_path / ".morpheus")
    yield running
    running.close()


def test_killed_service_comes_back_and_a_stop_leaves_nothing_behind(stack: Stack) -> None:
    tracker = stack.child("services.tracker")
    assert tracker is not None
    tracker.kill()
    eventually(lambda: (again := stack.child("services.tracker")) and again.pid != tracker.pid, 20)
    assert stack.said("tracker was killed by SIGKILL; starting it again")

    def ready() -> bool:
        try:
            with urlopen(f"http://127.0.0.1:{stack.port}/readyz", timeout=2) as reply:
                return bool(reply.status == 200)
        except OSError:
            return False

    eventually(ready, 30)
    children = stack.children()
    started = time.monotonic()
    stack.process.send_signal(signal.SIGTERM)
    assert stack.process.wait(timeout=30) == 0, "\n".join(stack.lines)
    assert time.monotonic() - started < 30
    assert still_running(children, 2) == []


def test_no_child_outlives_a_stack_that_was_killed(stack: Stack) -> None:
    children = stack.children()
    assert len(children) >= len(SERVICES)
    stack.process.kill()
    stack.process.wait()
    assert still_running(children, 10) == []


def test_readme_examples_are_accepted(stack: Stack, tmp_path: Path) -> None:
    templates = stack.home / "templates"
    (templates / "outer.html").write_text("<html><body>{{ content }}</body></html>")
    (templates / "hello.html").write_text("<p>Hello {{ first_name }}, here is {{ thing }}.</p>")
    commands = {"python": [sys.executable, "-c"], "javascript": ["node", "-e"]}
    assert EXAMPLES.keys() == commands.keys()
    outbox = stack.home / "outbox"
    sent = 0
    for language, recipients in (("python", 2), ("javascript", 1)):
        try:
            command = [*commands[language], EXAMPLES[language]]
            done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False)
        except FileNotFoundError:
            continue  # no Node.js on this machine; the signing scheme is tested in Python above
        assert '"accepted"' in done.stdout, done.stdout + done.stderr
        sent += recipients
        eventually(lambda expected=sent: len(list(outbox.glob("*.eml"))) == expected, 30)  # type: ignore[misc]
    mails = [path.read_text() for path in outbox.glob("*.eml")]
    assert any("Hello Grace, here is one of her own." in mail for mail in mails)


def test_check_asks_every_service(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "local", "--check", "--home", str(tmp_path / "home")]
    good = subprocess.run(command, env=clean_environment(), capture_output=True, text=True, timeout=60, check=False)
    assert good.returncode == 0, good.stdout + good.stderr
    assert not (tmp_path / "home").exists()
    env = clean_environment(MORPHEUS_TEMPLATE_URL="file:///x")
    bad = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert bad.returncode == 1
    assert "MORPHEUS_TEMPLATE_URL" in bad.stdout + bad.stderr


def test_demo_sends_its_group_and_ends(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "local", "--demo", "--home", str(tmp_path / "demo")]
    env = clean_environment(DEMO_EXIT="1", COLUMNS="300")
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=150, check=False)
    log = tmp_path / "demo" / "stack.log"
    assert done.returncode == 0, done.stdout + done.stderr + (log.read_text()[-5000:] if log.exists() else "")
    assert "200 of 200 accepted" in done.stdout
    assert "/outbox" in done.stdout
    assert "curl -H 'Authorization: Bearer " in done.stdout
    assert "The stack stops now" in done.stdout
    mails = list((tmp_path / "demo" / "outbox").glob("*.eml"))
    assert len(mails) >= 190
    assert sum(b"application/pdf" in mail.read_bytes() for mail in mails) == 20
