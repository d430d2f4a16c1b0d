"""One S3 server for the lane; a proxy and buckets of its own for each test."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator

import pytest

pytest.register_assert_rewrite("tests.s3.gateway")

from tests.s3.gateway import Bucket, Gateway, Proxy, credentials, proxy_before, serve  # noqa: E402  after the line above


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with serve(tmp_path_factory.mktemp("s3")) as running:
        yield running


@pytest.fixture
async def proxy(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Proxy]:
    """What stores of ours speak to, with the right credentials in the environment."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in credentials().items():
        monkeypatch.setenv(name, value)
    async with proxy_before(gateway.url) as running:
        yield running


@pytest.fixture
async def versioned(gateway: Gateway) -> AsyncIterator[Bucket]:
    """A bucket that keeps versions."""
    async with gateway.bucket(f"kept-{secrets.token_hex(4)}", versions=True) as bucket:
        yield bucket


@pytest.fixture
async def plain(gateway: Gateway) -> AsyncIterator[Bucket]:
    """A bucket that does not."""
    async with gateway.bucket(f"plain-{secrets.token_hex(4)}", versions=False) as bucket:
        yield bucket
