"""The real stack, as an operator starts it: five processes, a real Redis, real files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.stack import Stack


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """A stack of this test's own; a short lease, so that recovery does not take half a minute."""
    with Stack(tmp_path, {"MORPHEUS_LEASE": "3"}) as running:
        yield running
