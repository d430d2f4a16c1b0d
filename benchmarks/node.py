"""A real Elasticsearch node: fetched, started and stopped by `scripts/elasticsearch`."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.stack import free_port

_SCRIPTS = Path(__file__).parents[1] / "scripts" / "elasticsearch"


class NodeError(Exception):
    """It cannot be had on this machine; the text says what is missing."""


@dataclass(frozen=True, slots=True)
class Node:
    """A running node. `pid` is its first process; 0: somebody else's."""

    url: str
    pid: int = 0

    def cpu_seconds(self) -> float:
        """User and system seconds of the server since its start; 0 of somebody else's."""
        if not self.pid:
            return 0.0
        first = psutil.Process(self.pid)
        times = [each.cpu_times() for each in [first, *first.children(recursive=True)]]
        return sum(each.user + each.system for each in times)


@contextmanager
def running_node(**settings: str) -> Iterator[Node]:
    """A node of one's own, empty, gone at the end; `settings` are those of `start.sh`. NodeError."""
    _run("fetch.sh")
    with tempfile.TemporaryDirectory(prefix="elasticsearch-") as folder:
        port = free_port()
        _run("start.sh", str(port), folder, **settings)
        try:
            scheme = "https" if "ES_SECURE" in settings else "http"
            yield Node(f"{scheme}://127.0.0.1:{port}", int((Path(folder) / "pid").read_text()))
        finally:
            subprocess.run([_SCRIPTS / "stop.sh", folder], check=False)


def _run(script: str, *arguments: str, **settings: str) -> None:
    command = [str(_SCRIPTS / script), *arguments]
    environment = {**os.environ, **settings}
    done = subprocess.run(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False, env=environment
    )
    if done.returncode:
        raise NodeError(done.stderr.strip().rpartition("\n")[2])
