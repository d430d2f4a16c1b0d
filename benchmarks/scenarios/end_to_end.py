"""One post of many recipients through the real stack: method test, no PDF."""

from __future__ import annotations

import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from benchmarks.stack import Stack

RECIPIENTS = 5_000
RUNS = 3
MEMORY_RECIPIENTS = 50_000


def measure(recipients: int = RECIPIENTS, runs: int = RUNS) -> dict[str, Any]:
    """Messages a second, CPU a message and accept latency; the median of `runs` and each of them."""
    with tempfile.TemporaryDirectory(prefix="morpheus-bench-") as folder, Stack(Path(folder)) as stack:
        _one(stack, "warm-up", 500)
        readings = [_one(stack, f"run-{number}", recipients) for number in range(runs)]
    middle = {
        key: round(statistics.median(reading[key] for reading in readings), 4)
        for key in ("messages_per_second", "cpu_ms_per_message", "accept_ms")
    }
    return {"recipients": recipients, **middle, "runs": readings}


def measure_memory(recipients: int = MEMORY_RECIPIENTS) -> dict[str, Any]:
    """Peak resident memory of gateway and intake while a large post goes through."""
    peaks: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="morpheus-bench-") as folder, Stack(Path(folder)) as stack:
        done = threading.Event()

        def watch() -> None:
            while not done.wait(0.02):
                for name, value in stack.rss_mib().items():
                    peaks[name] = max(peaks.get(name, 0.0), value)

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            status, reply, seconds = stack.send("memory", recipients)
        finally:
            time.sleep(0.2)
            done.set()
            watcher.join()
    return {
        "recipients": recipients,
        "status": status,
        "accepted": reply.get("accepted"),
        "accept_ms": round(seconds * 1000, 1),
        "peak_rss_mib": peaks,
    }


def _one(stack: Stack, group_id: str, recipients: int) -> dict[str, Any]:
    before = stack.cpu_seconds()
    started = time.perf_counter()
    status, reply, accept_seconds = stack.send(group_id, recipients)
    if status != 202:
        msg = f"the post was refused: {status} {reply}"
        raise RuntimeError(msg)
    group = stack.wait_finished(group_id, 120)
    seconds = time.perf_counter() - started
    after = stack.cpu_seconds()
    cpu = {name: (after[name] - before.get(name, 0.0)) / recipients * 1000 for name in after}
    return {
        "messages_per_second": round(recipients / seconds, 1),
        "cpu_ms_per_message": round(sum(cpu.values()), 4),
        "accept_ms": round(accept_seconds * 1000, 1),
        "cpu_ms_per_message_by_process": {name: round(value, 4) for name, value in cpu.items()},
        "counts": {state: count for state, count in group["counts"].items() if count},
    }
