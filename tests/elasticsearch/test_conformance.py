"""What every record store must do, on Elasticsearch."""

from __future__ import annotations

from tests.conformance.cases import RecordStoreCases


class TestElasticsearch(RecordStoreCases):
    """`records` comes from this folder's conftest."""
