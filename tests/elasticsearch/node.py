"""A real Elasticsearch node for a run of the tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks import node


@contextmanager
def running_node(secure: Path | None = None) -> Iterator[str]:
    """The address of a node. One that cannot be had is a skip on a laptop and a failure in CI.

    With `secure` it speaks https and knows the users of that folder (`start.sh`).
    """
    settings = {} if secure is None else {"ES_SECURE": str(secure), "ES_HEAP": "384m"}
    try:
        with node.running_node(**settings) as running:
            yield running.url
    except node.NodeError as exc:
        if os.environ.get("CI", "").lower() in {"true", "1"}:
            pytest.fail(str(exc))
        pytest.skip(str(exc))
