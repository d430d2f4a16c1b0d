"""What every record store must do, on Elasticsearch."""

from __future__ import annotations

from tests.conformance.cases import RecordStoreCases
from tests.conformance.erasure_cases import ErasureCases
from tests.conformance.keeping_cases import KeepingCases
from tests.conformance.page_cases import PageCases
from tests.conformance.privacy_cases import PrivacyCases
from tests.conformance.report_cases import ReportCases


class TestElasticsearch(RecordStoreCases, PrivacyCases, ErasureCases, KeepingCases, ReportCases, PageCases):
    """`records` comes from this folder's conftest."""
