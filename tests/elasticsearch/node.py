"""A real Elasticsearch node: fetched, started and stopped by `scripts/elasticsearch`."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks.stack import free_port

_SCRIPTS = Path(__file__).parents[2] / "scripts" / "elasticsearch"


@contextmanager
def running_node(secure: Path | None = None) -> Iterator[str]:
    """The address of a node. One that cannot be had is a skip on a laptop and a failure in CI.

    With `secure` it speaks https and knows the users of that folder (`start.sh`).
    """
    _run("fetch.sh")
    more = {} if secure is None else {"ES_SECURE": str(secure), "ES_HEAP": "384m"}
    with tempfile.TemporaryDirectory(prefix="elasticsearch-") as folder:
        port = free_port()
        _run("start.sh", str(port), folder, **more)
        try:
            yield f"{'https' if secure else 'http'}://127.0.0.1:{port}"
        finally:
            subprocess.run([_SCRIPTS / "stop.sh", folder], check=False)


def _run(script: str, *arguments: str, **more: str) -> None:
    command, environment = [str(_SCRIPTS / script), *arguments], os.environ | more
    done = subprocess.run(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False
    )
    if done.returncode == 0:
        return
    reason = done.stderr.strip().rpartition("\n")[2]
    if os.environ.get("CI", "").lower() in {"true", "1"}:
        pytest.fail(reason)
    pytest.skip(reason)
