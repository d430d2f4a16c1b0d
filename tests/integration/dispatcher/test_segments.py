from __future__ import annotations

import multiprocessing
import os

import pytest

from morpheus_kit.sms.segments import measure
from tests.segments_reference import random_texts, reference_count

TEXTS = 1_000_000  # ≤ 60 s of one core
WORKERS = max(1, min(4, os.cpu_count() or 1))


def disagreements(seed: int) -> list[str]:
    return [
        text
        for text in random_texts(TEXTS // WORKERS, seed)
        if ((found := measure(text)).encoding.value, found.count) != reference_count(text)
    ]


@pytest.mark.timeout(300)
def test_a_million_texts_agree_with_an_independent_codec() -> None:
    with multiprocessing.get_context("spawn").Pool(WORKERS) as pool:
        assert pool.map(disagreements, range(WORKERS)) == [[]] * WORKERS
