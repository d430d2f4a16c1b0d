"""What befalls the file of the records while messages flow."""

from __future__ import annotations

import asyncio
import resource
from pathlib import Path

import psutil
import pytest

from benchmarks.stack import Stack
from local.redis import socket_path
from tests.outage import SETTINGS, live_through
from tests.trackers import refused_tracker


@pytest.mark.timeout(120)
def test_full_disk_stops_the_sending_and_neither_it_nor_a_second_tracker_loses_anything(tmp_path: Path) -> None:
    with Stack(tmp_path, SETTINGS) as stack:
        records, log = tmp_path / "records.db", tmp_path / "records.db-wal"
        tracker = stack.processes()["tracker"][0]

        def fill() -> None:
            """Files of this process can grow no more, as on a disk that is full."""
            tracker.rlimit(psutil.RLIMIT_FSIZE, (log.stat().st_size, resource.RLIM_INFINITY))

        def make_room() -> None:
            assert stack.get("/v1/messages", group_id="before")["items"], "what is recorded can be read"
            assert stack.processes()["tracker"][0].pid == tracker.pid
            tracker.rlimit(psutil.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

        def make_room_and_meet_another() -> None:
            make_room()
            code, printed = asyncio.run(refused_tracker(f"unix://{socket_path(tmp_path)}", f"sqlite:///{records}"))
            assert code == 2
            assert printed.splitlines()[-1] == f"services.tracker: {records}: another process has these records open."
            assert "Traceback" not in printed

        live_through(stack, fill, end=make_room_and_meet_another)
