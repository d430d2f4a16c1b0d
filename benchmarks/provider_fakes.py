"""`python -m fakes` as a process beside a stack, and its API."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode
from urllib.request import Request, urlopen

_PAGE = 1_000


@contextmanager
def running_fakes(*names: str) -> Iterator[dict[str, Any]]:
    """What the command printed of each of `names`, while it runs: `url`, `api`, `environment`, …"""
    command = [sys.executable, "-m", "fakes", "--only", ",".join(names), "--port-base", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None  # noqa: S101  it is a pipe
            found: dict[str, Any] = json.loads(process.stdout.readline())
            yield found
        finally:
            process.terminate()


def call(url: str, body: dict[str, Any] | None = None, method: str | None = None) -> dict[str, Any]:
    """One request to a fake's API; its JSON."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"content-type": "application/json"}
    with urlopen(Request(url, data, headers, method=method), timeout=60) as reply:  # noqa: S310  our own fake
        answer: dict[str, Any] = json.loads(reply.read() or b"{}")
    return answer


def taken(fake: dict[str, Any], **query: str) -> list[dict[str, Any]]:
    """All messages that a fake has taken and that `query` chooses, oldest first."""
    items: list[dict[str, Any]] = []
    while True:
        filters = urlencode({**query, "limit": _PAGE, "offset": len(items)})
        page = call(f"{fake['api']}messages?{filters}")
        items += page["items"]
        if not page["items"] or len(items) >= page["total"]:
            return items
