"""Sending through a provider: the whole stack against the Mandrill fake, beside a bare aiohttp loop.

The bare loop posts the very bodies that the fake got, on the same kind of event loop and over as many connections, and
does nothing else. Both are warmed up and take turns, so that what else the machine does meets both.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import aiohttp
import uvloop

from benchmarks.provider_fakes import call, running_fakes, taken
from benchmarks.stack import Stack

MESSAGES = 3_000
ROUNDS = 5
LATENCIES_MS = (0, 50)
CONNECTIONS = 50


def measure(messages: int = MESSAGES) -> dict[str, Any]:
    """For each latency of the fake: messages a second and CPU a message, of the stack and of the bare loop."""
    return {f"latency_{latency}_ms": _at(latency, messages) for latency in LATENCIES_MS}


def _at(latency_ms: int, messages: int) -> dict[str, Any]:
    with running_fakes("mandrill") as fakes, tempfile.TemporaryDirectory(prefix="morpheus-bench-") as folder:
        fake = fakes["mandrill"]
        environment = {**fake["environment"], "MORPHEUS_MANDRILL_CONNECTIONS": str(CONNECTIONS)}
        with Stack(Path(folder), environment) as stack:
            _round(stack, fake, "warm-up", 500, latency_ms)
            runs = [_round(stack, fake, f"group-{n}", messages, latency_ms) for n in range(ROUNDS)]
    names = ("messages_per_second", "cpu_ms_per_message", "dispatcher_cpu_ms_per_message")
    return {
        "messages": messages,
        **{name: median(run[name] for run in runs) for name in names},
        "bare": {name: median(run["bare"][name] for run in runs) for name in names[:2]},
        "dispatcher_cpu_ratio_to_bare": median(run["dispatcher_cpu_ratio_to_bare"] for run in runs),
        "runs": runs,
    }


def _round(stack: Stack, fake: dict[str, Any], group_id: str, messages: int, latency_ms: int) -> dict[str, Any]:
    """The stack, then the bare loop with the same bodies."""
    call(fake["api"], method="DELETE")
    if latency_ms:
        call(fake["api"] + "faults", {"match": "*", "fault": f"latency.{latency_ms}"})
    reading = _send(stack, group_id, messages)
    bodies = [json.dumps({"key": "any", "message": item["content"]}).encode() for item in taken(fake)]
    bare = uvloop.run(_bare(fake["url"] + "/api/1.0/messages/send.json", bodies))
    ratio = reading["dispatcher_cpu_ms_per_message"] / bare["cpu_ms_per_message"]
    return {**reading, "bare": bare, "dispatcher_cpu_ratio_to_bare": round(ratio, 2)}


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
    async def post(session: aiohttp.ClientSession, waiting: Iterator[bytes]) -> None:
        for body in waiting:
            async with session.post(url, data=body, headers={"content-type": "application/json"}) as response:
                await response.read()

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CONNECTIONS)) as session:
        await asyncio.gather(*[post(session, iter([body])) for body in bodies[:CONNECTIONS]])
        cpu, started = time.process_time(), time.perf_counter()
        waiting = iter(bodies)
        async with asyncio.TaskGroup() as group:
            for _ in range(CONNECTIONS):
                group.create_task(post(session, waiting))
        cpu, seconds = time.process_time() - cpu, time.perf_counter() - started
    return {
        "messages_per_second": round(len(bodies) / seconds, 1),
        "cpu_ms_per_message": round(cpu / len(bodies) * 1000, 4),
    }
