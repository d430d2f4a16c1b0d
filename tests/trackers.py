"""Trackers as processes of their own."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from morpheus.tracker.v1.tracker_pb2_grpc import TrackerServiceStub

from benchmarks.stack import free_port
from morpheus_kit.rpc.client import open_channel

SECRET = "0123456789abcdef"
_START_SECONDS, _STOP_SECONDS = 30, 30


class Tracker(NamedTuple):
    """One that answers; its stub's published types are those of the blocking one."""

    process: Process
    stub: Any


async def start_tracker(
    redis_url: str, records_url: str, port: int, more: Mapping[str, str], stderr: int | None
) -> Process:
    """`python -m services.tracker`."""
    settings = {
        "MORPHEUS_REDIS_URL": redis_url,
        "MORPHEUS_RECORDS_URL": records_url,
        "MORPHEUS_ADDRESS_SECRET": SECRET,
        "MORPHEUS_TOKEN_SECRET": SECRET,
        "MORPHEUS_TRACKER_ADDR": f"127.0.0.1:{port}",
        **more,
    }
    command = (sys.executable, "-m", "services.tracker")
    return await asyncio.create_subprocess_exec(*command, env=os.environ | settings, stderr=stderr)


@asynccontextmanager
async def running_tracker(
    redis_url: str, records_url: str, more: Mapping[str, str] | None = None
) -> AsyncIterator[Tracker]:
    """Ready when this begins; told to end at its end, where it was not killed before."""
    port = free_port()
    process = await start_tracker(redis_url, records_url, port, more or {}, asyncio.subprocess.DEVNULL)
    channel = open_channel(f"127.0.0.1:{port}")
    try:
        async with asyncio.timeout(_START_SECONDS):
            await channel.channel_ready()
        yield Tracker(process, TrackerServiceStub(channel))
    finally:
        await channel.close()
        if process.returncode is None:
            process.terminate()
        async with asyncio.timeout(_STOP_SECONDS):
            await process.wait()


async def refused_tracker(
    redis_url: str, records_url: str, more: Mapping[str, str] | None = None
) -> tuple[int | None, str]:
    """Exit code of one that does not start, and all that it printed."""
    process = await start_tracker(redis_url, records_url, 0, more or {}, asyncio.subprocess.PIPE)
    async with asyncio.timeout(_START_SECONDS):
        _, printed = await process.communicate()
    return process.returncode, printed.decode()
