"""The record store that `MORPHEUS_RECORDS_URL` names."""

from __future__ import annotations

from morpheus_kit.clock import Clock
from services.tracker.config import Config, records_path
from services.tracker.store.elastic import ElasticsearchStore
from services.tracker.store.elastic_client import ClusterOptions
from services.tracker.store.sqlite import SqliteStore


def make_store(config: Config, clock: Clock) -> SqliteStore | ElasticsearchStore:
    """Not opened yet."""
    if config.records_url.startswith("sqlite:"):
        return SqliteStore(records_path(config.records_url), clock, config.kept)
    options = ClusterOptions(
        config.records_url, config.records_authority, config.records_shards, config.records_replicas
    )
    return ElasticsearchStore(options, clock, config.kept)
