"""Benchmarks in small: what they count and what they compare with is what it should be."""

from __future__ import annotations

import asyncio

import msgpack

from benchmarks import bare_render, sample
from benchmarks.scenarios import template_cache
from tests.integration.renderer.rig import Start


async def test_template_cache_is_measured() -> None:
    figures = await asyncio.to_thread(template_cache.measure, workers=2, groups=2)
    assert figures["templates"] == 2 * template_cache.A_GROUP
    assert figures["most_reads_of_a_version"] == figures["most_compilations_of_a_version"] == 1
    assert figures["shared_files_mib"] > 0
    assert figures["compile_to_load"] > 0
    assert set(figures["templates_add"]) == {"pss_mib_per_worker", "uss_mib_per_worker"}


async def test_the_bare_loop_makes_what_the_renderer_makes(start: Start) -> None:
    renderer = await start(templates_url=sample.TEMPLATES.as_uri())
    recipient = sample.recipient(7)
    [made] = await renderer.render(
        recipient, subject_template=sample.SUBJECT, context=msgpack.packb(sample.SHARED_CONTEXT)
    )
    subject, html, text = bare_render.Loop().render(recipient)
    assert (made.subject, made.html) == (subject, html)
    assert made.text.split() == text.split()
