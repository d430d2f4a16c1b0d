"""The disk of the records is full while messages flow."""

from __future__ import annotations

import resource
from pathlib import Path

import psutil
import pytest

from benchmarks.stack import Stack
from tests.outage import SETTINGS, live_through


@pytest.mark.timeout(120)
def test_full_disk_stops_the_sending_and_loses_nothing(tmp_path: Path) -> None:
    with Stack(tmp_path, SETTINGS) as stack:
        log = tmp_path / "records.db-wal"
        tracker = stack.processes()["tracker"][0]

        def fill() -> None:
            """Files of this process can grow no more, as on a disk that is full."""
            tracker.rlimit(psutil.RLIMIT_FSIZE, (log.stat().st_size, resource.RLIM_INFINITY))

        def make_room() -> None:
            assert stack.get("/v1/messages", group_id="before")["items"], "what is recorded can be read"
            assert stack.processes()["tracker"][0].pid == tracker.pid
            tracker.rlimit(psutil.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

        live_through(stack, fill, end=make_room)
