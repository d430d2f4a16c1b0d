"""What the figures of the records benchmark must hold, whatever they are."""

from __future__ import annotations

from typing import Any


def check(figures: dict[str, Any], messages: int, bare: int) -> None:
    """All was written, every question was answered with something, and the ratios are those of the same rounds."""
    writing, answers = figures["writing"], figures["answers"]
    assert (writing["documents"], writing["bare"]["documents"]) == (messages, bare)
    assert writing["cpu_us_per_document"] > 0
    assert writing["bare"]["cpu_us_per_document"] > 0
    ratios = ("time_ratio_to_bare", "cpu_ratio_to_bare", "process_cpu_ratio_to_bare")
    assert all(writing[name] > 0 for name in ratios)
    assert set(answers) == {"progress", "list", "text_and_tag", "statistics", "costs_of_a_month"}
    assert all(0 < answer["p50_ms"] <= answer["p95_ms"] for answer in answers.values())
    assert all(answer["items"] > 0 for name, answer in answers.items() if name != "progress")
