"""A whole renderer over a real S3 server: how often it asks for a template."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

from tests.integration.renderer.rig import running
from tests.s3.gateway import Bucket, Proxy

WORKERS = 8


async def test_pod_gets_each_version_once_however_many_workers_want_it(
    proxy: Proxy, versioned: Bucket, tmp_path: Path
) -> None:
    await versioned.put("outer.html", "<main>{{ content }}</main>")
    await versioned.put("inner.html", "{% include 'foot.html' %}{{ x }}")
    await versioned.put("foot.html", "foot ")
    store = {"templates_url": f"s3://{versioned.name}", "s3_endpoint_url": proxy.url}
    async with running(tmp_path, render_workers=WORKERS, template_ttl=3600, **store) as renderer:
        recipients = [{"context": {"x": number}} for number in range(100)]
        groups: list[dict[str, Any]] = [{} for _ in range(2 * WORKERS)]
        for _ in range(2):
            parts = await asyncio.gather(*[renderer.render(*recipients, **group) for group in groups])
            assert all([answer.text for answer in part] == [f"foot {n}" for n in range(100)] for part in parts)
            versions = (await renderer.warm("outer.html", "inner.html")).versions
            groups = [{"versions": versions}] * len(groups)
    asked = Counter((request.key, request.status) for request in proxy.seen if request.key)
    assert asked == {(name, 200): 1 for name in ("outer.html", "inner.html", "foot.html")}
