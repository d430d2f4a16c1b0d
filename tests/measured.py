"""What the figures of the records benchmark must hold, whatever they are."""

from __future__ import annotations

from typing import Any


def check(figures: dict[str, Any], messages: int, bare: int) -> None:
    """All was written, every question was answered with something, and the ratios are those of the same rounds."""
    writing, answers = figures["writing"], figures["answers"]
    copying, making = writing["bare_copying"], writing["bare_making"]
    assert (writing["documents"], copying["documents"], making["documents"]) == (messages, bare, bare)
    assert writing["cpu_us_per_document"] > 0
    assert making["cpu_us_per_document"] > copying["cpu_us_per_document"] > 0
    ratios = ("time_ratio", "cpu_ratio", "process_cpu_ratio")
    assert all(loop[name] > 0 for loop in (copying, making) for name in ratios)
    assert set(answers) == {"progress", "list", "text_and_tag", "statistics", "costs_of_a_month"}
    assert all(0 < answer["p50_ms"] <= answer["p95_ms"] for answer in answers.values())
    assert all(answer["items"] > 0 for name, answer in answers.items() if name != "progress")
