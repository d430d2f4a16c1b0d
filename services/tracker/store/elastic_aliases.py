"""The alias `message-<company code>` of each company: its messages of all months, for readers outside Morpheus."""

from __future__ import annotations

from typing import Any, Final

from services.tracker.store.elastic_client import Cluster, answering

_PAGE: Final = 1_000
_ACTIONS: Final = 1_000


async def update_aliases(cluster: Cluster) -> None:
    """Adds what is missing; any process may do it at any time, and again. StoreDownError."""
    missing = []
    with answering():
        present = await cluster.client.indices.get_alias(index=cluster.pattern)
    for index, found in sorted(present.items()):
        for company in await companies_of(cluster, index):
            name = f"message-{company}"
            if name not in found["aliases"]:
                missing.append({"add": {"index": index, "alias": name, "filter": _filter(company)}})
    for start in range(0, len(missing), _ACTIONS):
        with answering():
            await cluster.client.indices.update_aliases(actions=missing[start : start + _ACTIONS])


async def companies_of(cluster: Cluster, index: str) -> list[str]:
    """All companies of a month, a page at a time."""
    found: list[str] = []
    after: dict[str, Any] = {}
    while True:
        source = {"composite": {"size": _PAGE, "sources": [{"company": {"terms": {"field": "company_code"}}}], **after}}
        with answering():
            answer = await cluster.client.search(index=index, size=0, aggs={"companies": source})
        companies = answer["aggregations"]["companies"]
        found += [bucket["key"]["company"] for bucket in companies["buckets"]]
        if "after_key" not in companies:
            return found
        after = {"after": companies["after_key"]}


def _filter(company: str) -> dict[str, Any]:
    return {"bool": {"filter": [{"term": {"company_code": company}}, {"term": {"relation": "message"}}]}}
