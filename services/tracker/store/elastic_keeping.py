"""Drops what is not kept any more: whole months where that is true of everybody in them, else company by company."""

from __future__ import annotations

from typing import Any, Final

from morpheus_kit import logs
from morpheus_kit.retention import Retention, first_kept
from services.tracker.store.elastic_aliases import companies_of
from services.tracker.store.elastic_client import Cluster, answering
from services.tracker.store.elastic_mappings import month_of_index

log = logs.get_logger(__name__)

_STEP_SECONDS: Final = 60.0


async def drop_over(cluster: Cluster, retention: Retention, now_ms: int, limit: int) -> int:
    """One step: an index, or up to `limit` documents of a company; how many. 0: nothing is left. StoreDownError."""
    with answering():
        present = await cluster.client.indices.get_alias(index=cluster.pattern)
    edge = first_kept(retention.shortest_s, now_ms)
    for index in sorted(present):
        month = month_of_index(cluster.prefix, index)
        if month >= edge:
            break
        companies = await companies_of(cluster, index)
        over = [company for company in companies if retention.is_over(company, month, now_ms)]
        # Nobody's: only events whose records never came.
        if over == companies if companies else month < first_kept(retention.longest_s, now_ms):
            with answering():
                await cluster.client.options(ignore_status=404).indices.delete(index=index)
            cluster.forget_index(index)
            log.info("month_dropped", index=index, companies=len(companies))
            return 1
        for company in over:
            if deleted := await _delete(cluster, index, company, limit):
                return deleted
    return 0


async def _delete(cluster: Cluster, index: str, company: str, limit: int) -> int:
    owners: list[dict[str, Any]] = [{"term": {"company_code": company}}, {"term": {"of_company": company}}]
    client = cluster.client.options(request_timeout=_STEP_SECONDS)
    with answering():
        answer = await client.delete_by_query(
            index=index, query={"bool": {"should": owners}}, max_docs=limit, conflicts="proceed", refresh=True
        )
    log.info("records_dropped", index=index, company=company, documents=answer["deleted"])
    return int(answer["deleted"])
