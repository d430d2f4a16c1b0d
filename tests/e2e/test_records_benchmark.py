"""The benchmark of records in a small form, so that it measures what it says it does."""

from __future__ import annotations

import pytest

from benchmarks.scenarios import records
from tests.measured import check


@pytest.mark.timeout(120)
def test_records_are_written_and_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "ROUND", 1_000)
    check(records.measure_sqlite(messages=2_000, group=500, questions=4), messages=2_000, bare=1_000)
