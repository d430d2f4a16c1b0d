"""The benchmark of the template cache, in small: what it counts is what it should be."""

from __future__ import annotations

import asyncio

from benchmarks.scenarios import template_cache


async def test_template_cache_is_measured() -> None:
    figures = await asyncio.to_thread(template_cache.measure, workers=2, groups=2)
    assert figures["templates"] == 2 * template_cache.A_GROUP
    assert figures["most_reads_of_a_version"] == figures["most_compilations_of_a_version"] == 1
    assert figures["shared_files_mib"] > 0
    assert figures["compile_to_load"] > 0
    assert set(figures["templates_add"]) == {"pss_mib_per_worker", "uss_mib_per_worker"}
