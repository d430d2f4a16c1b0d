"""Real servers of the lanes: built by `scripts/tools.sh`, started on free ports, stopped at the end."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

from benchmarks.stack import free_port

_SCRIPT = Path(__file__).parents[1] / "scripts" / "tools.sh"
_START_SECONDS = 20.0


@cache
def _build(name: str) -> tuple[str, str]:
    """Path of the binary, or why there is none."""
    done = subprocess.run([_SCRIPT, name], capture_output=True, text=True, check=False)
    return (done.stdout.strip(), "") if done.returncode == 0 else ("", done.stderr.strip().rpartition("\n")[2])


def binary(name: str) -> str:
    """Where the server is. One that cannot be had is a skip on a laptop and a failure in CI."""
    path, reason = _build(name)
    if not path and os.environ.get("CI", "").lower() in {"true", "1"}:
        pytest.fail(reason)
    if not path:
        pytest.skip(reason)
    return path


@contextmanager
def running(command: Sequence[str], port: int, environment: Mapping[str, str]) -> Iterator[None]:
    """A process that answers on `port`; killed at the end, since its data goes with it."""
    with (
        tempfile.TemporaryFile() as log,
        subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **environment}) as process,
    ):
        try:
            deadline = time.monotonic() + _START_SECONDS
            while not _answers(port):
                if process.poll() is not None or time.monotonic() > deadline:
                    process.kill()
                    log.seek(0)
                    pytest.fail(f"{command[0]} did not start: {log.read().decode(errors='replace')[-500:]}")
                time.sleep(0.02)
            yield
        finally:
            process.kill()


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


__all__ = ["binary", "free_port", "running"]
