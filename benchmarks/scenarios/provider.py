"""Sending through a provider: the whole stack against the Mandrill fake, beside a bare aiohttp loop.

The bare loop posts the very bodies that the fake got, over as many connections, and does nothing else.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import aiohttp

from benchmarks.stack import Stack

MESSAGES = 3_000
LATENCIES_MS = (0, 50)
CONNECTIONS = 50
_PAGE = 1_000


def measure(messages: int = MESSAGES) -> dict[str, Any]:
    """For each latency of the fake: messages a second and CPU a message, of the stack and of the bare loop."""
    return {f"latency_{latency}_ms": _at(latency, messages) for latency in LATENCIES_MS}


def _at(latency_ms: int, messages: int) -> dict[str, Any]:
    with _fake() as fake, tempfile.TemporaryDirectory(prefix="morpheus-bench-") as folder:
        environment = {**fake["environment"], "MORPHEUS_MANDRILL_CONNECTIONS": str(CONNECTIONS)}
        with Stack(Path(folder), environment) as stack:
            _send(stack, "warm-up", 300)
            _call(fake["api"], method="DELETE")
            if latency_ms:
                _call(fake["api"] + "faults", {"match": "*", "fault": f"latency.{latency_ms}"})
            reading = _send(stack, "group", messages)
        bodies = _bodies(fake["api"], messages)
        bare = asyncio.run(_bare(fake["url"] + "/api/1.0/messages/send.json", bodies))
    dispatcher = reading["dispatcher_cpu_ms_per_message"]
    return {
        "messages": messages,
        **reading,
        "bare": bare,
        "dispatcher_cpu_ratio_to_bare": round(dispatcher / bare["cpu_ms_per_message"], 2),
    }


def _send(stack: Stack, group_id: str, messages: int) -> dict[str, Any]:
    before, started = stack.cpu_seconds(), time.perf_counter()
    status, reply, _ = stack.send(group_id, messages, "mandrill")
    if status != 202:
        msg = f"the post was refused: {status} {reply}"
        raise RuntimeError(msg)
    group = stack.wait_finished(group_id, 120)
    seconds, after = time.perf_counter() - started, stack.cpu_seconds()
    return {
        "messages_per_second": round(messages / seconds, 1),
        "cpu_ms_per_message": round((sum(after.values()) - sum(before.values())) / messages * 1000, 4),
        "dispatcher_cpu_ms_per_message": round((after["dispatcher"] - before["dispatcher"]) / messages * 1000, 4),
        "counts": {state: count for state, count in group["counts"].items() if count},
    }


async def _bare(url: str, bodies: list[bytes]) -> dict[str, Any]:
    waiting = iter(bodies)

    async def post(session: aiohttp.ClientSession) -> None:
        for body in waiting:
            async with session.post(url, data=body, headers={"content-type": "application/json"}) as response:
                await response.read()

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CONNECTIONS)) as session:
        cpu, started = time.process_time(), time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for _ in range(CONNECTIONS):
                group.create_task(post(session))
        cpu, seconds = time.process_time() - cpu, time.perf_counter() - started
    return {
        "messages_per_second": round(len(bodies) / seconds, 1),
        "cpu_ms_per_message": round(cpu / len(bodies) * 1000, 4),
    }


def _bodies(api: str, messages: int) -> list[bytes]:
    bodies: list[bytes] = []
    while len(bodies) < messages:
        page = _call(f"{api}messages?limit={_PAGE}&offset={len(bodies)}")["items"]
        if not page:
            msg = f"the fake got {len(bodies)} of {messages} messages"
            raise RuntimeError(msg)
        bodies += [json.dumps({"key": "any", "message": item["content"]}).encode() for item in page]
    return bodies


@contextmanager
def _fake() -> Iterator[dict[str, Any]]:
    command = [sys.executable, "-m", "fakes", "--only", "mandrill", "--port-base", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None  # noqa: S101  it is a pipe
            found: dict[str, Any] = json.loads(process.stdout.readline())["mandrill"]
            yield found
        finally:
            process.terminate()


def _call(url: str, body: dict[str, Any] | None = None, method: str | None = None) -> dict[str, Any]:
    data = None if body is None else json.dumps(body).encode()
    headers = {"content-type": "application/json"}
    with urlopen(Request(url, data, headers, method=method), timeout=60) as reply:  # noqa: S310  our own fake
        answer: dict[str, Any] = json.loads(reply.read() or b"{}")
    return answer
