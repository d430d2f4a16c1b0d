"""The whole stack with Elasticsearch as its record store."""

from __future__ import annotations

from pathlib import Path

import pytest
from elasticsearch import AsyncElasticsearch

from benchmarks import sample
from benchmarks.stack import Stack


@pytest.mark.timeout(120)
async def test_group_goes_through_the_stack_and_is_found(
    tmp_path: Path, node_url: str, client: AsyncElasticsearch
) -> None:
    with Stack(tmp_path, {"MORPHEUS_RECORDS_URL": node_url, "MORPHEUS_RECORDS_REPLICAS": "0"}) as stack:
        status, reply, _ = stack.send("welcome", 30)
        assert status == 202, reply
        stack.wait_finished("welcome", 60)
        group = stack.group("welcome")
        assert (group["control"], group["total"], sum(group["counts"].values())) == ("finished", 30, 30)
        assert group["template_versions"]
        page = stack.get("/v1/messages", group_id="welcome", page_size="20")
        rest = stack.get("/v1/messages", group_id="welcome", page_size="20", page_token=page["next_page_token"])
        assert len({item["id"] for item in [*page["items"], *rest["items"]]}) == 30
        message = stack.get(f"/v1/messages/{page['items'][0]['id']}")
        assert message["html"]
        assert message["events"]
    indices = list(await client.indices.get(index="morpheus-2*"))
    found = await client.count(index=indices, query={"term": {"company_code": sample.COMPANY}})
    assert found["count"] == 31
    await client.indices.delete(index=indices)
    await client.indices.delete_index_template(name="morpheus")
