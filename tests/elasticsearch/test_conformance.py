"""What every record store must do, on Elasticsearch."""

from __future__ import annotations

from tests.conformance.cases import RecordStoreCases
from tests.conformance.privacy_cases import PrivacyCases


class TestElasticsearch(RecordStoreCases, PrivacyCases):
    """`records` comes from this folder's conftest."""
