"""The store against a real S3 server: versions, ETags, and every way in which it can be away."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from benchmarks.stack import free_port
from morpheus_kit.blobs import TemplateStore, open_store, s3
from morpheus_kit.errors import InvalidInputError, NotFoundError, TooLargeError, UnavailableError
from tests.s3.gateway import Bucket, Proxy

LIMIT = 1000


@asynccontextmanager
async def opened(proxy: Proxy, bucket: Bucket, *more: str, prefix: str = "") -> AsyncIterator[TemplateStore]:
    store = open_store(f"s3://{bucket.name}{prefix}", buckets=more, endpoint_url=proxy.url)
    await store.start()
    try:
        yield store
    finally:
        await store.stop()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


async def test_version_is_the_content_and_the_stores_own_id(proxy: Proxy, versioned: Bucket, plain: Bucket) -> None:
    version_id = await versioned.put("a/b.html", "hello")
    await plain.put("a/b.html", "hello")
    async with opened(proxy, versioned) as store:
        blob = await store.read("a/b.html", LIMIT)
    assert (blob.content, blob.version) == (b"hello", f"{sha256(b'hello')}.{version_id}")
    async with opened(proxy, plain) as store:
        assert (await store.read("a/b.html", LIMIT)).version == sha256(b"hello")


async def test_unchanged_file_is_asked_for_by_its_etag_and_not_sent_again(proxy: Proxy, versioned: Bucket) -> None:
    await versioned.put("t", "old")
    async with opened(proxy, versioned) as store:
        first = await store.read("t", LIMIT)
        assert await store.read("t", LIMIT) == first
        await versioned.put("t", "new")
        assert (await store.read("t", LIMIT)).content == b"new"
        with pytest.raises(TooLargeError):
            await store.read("t", 2)
    assert [(bool(request.condition), request.status) for request in proxy.seen] == [
        (False, 200),
        (True, 304),
        (True, 200),
        (True, 304),
    ]


async def test_pinned_version_is_read_after_it_was_replaced_or_deleted(proxy: Proxy, versioned: Bucket) -> None:
    await versioned.put("t", "old")
    async with opened(proxy, versioned) as store:
        pinned = (await store.read("t", LIMIT)).version
        await versioned.put("t", "new")
        assert (await store.read("t", LIMIT, pinned)).content == b"old"
        await versioned.delete("t")
        assert (await store.read("t", LIMIT, pinned)).content == b"old"
        with pytest.raises(NotFoundError):
            await store.read("t", LIMIT)


async def test_pinned_version_that_is_gone_is_not_replaced_by_another(proxy: Proxy, versioned: Bucket) -> None:
    version_id = await versioned.put("t", "old")
    async with opened(proxy, versioned) as store:
        pinned = (await store.read("t", LIMIT)).version
        await versioned.put("t", "new")
        await versioned.delete("t", version_id)
        blob = await store.read("t", LIMIT, pinned)
        assert (blob.content, blob.version != pinned) == (b"new", True)
        await versioned.put("t", "old")
        assert (await store.read("t", LIMIT, pinned)).version == pinned, "the same bytes are the same version"
        await versioned.delete("t")
        with pytest.raises(NotFoundError):
            await store.read("t", LIMIT, pinned)


async def test_pin_of_a_bucket_without_versions_holds_as_long_as_the_content(proxy: Proxy, plain: Bucket) -> None:
    await plain.put("t", "old")
    async with opened(proxy, plain) as store:
        pinned = (await store.read("t", LIMIT)).version
        assert (await store.read("t", LIMIT, pinned)).version == pinned
        await plain.put("t", "new")
        assert (await store.read("t", LIMIT, pinned)).version == sha256(b"new")


@pytest.mark.parametrize("pinned", [f"{'0' * 64}.null", f"{'0' * 64}.of-another-store", f"{'0' * 64}.{'x' * 63}"])
async def test_id_that_the_store_never_gave_is_no_version(proxy: Proxy, versioned: Bucket, pinned: str) -> None:
    await versioned.put("t", "new")
    async with opened(proxy, versioned) as store:
        assert (await store.read("t", LIMIT, pinned)).version.startswith(sha256(b"new"))


async def test_paths_are_below_the_prefix_or_name_a_known_bucket(
    proxy: Proxy, versioned: Bucket, plain: Bucket
) -> None:
    await versioned.put("mail/new/ünï code+&?#%41.html", "below")
    await versioned.put("beside.html", "beside")
    await plain.put("far.html", "far")
    async with opened(proxy, versioned, plain.name, prefix="/mail/new/") as store:
        assert (await store.read("ünï code+&?#%41.html", LIMIT)).content == b"below"
        assert (await store.read(f"s3://{versioned.name}/beside.html", LIMIT)).content == b"beside"
        assert (await store.read(f"s3://{plain.name}/far.html", LIMIT)).content == b"far"
        with pytest.raises(NotFoundError, match=r"far\.html is not in"):
            await store.read("far.html", LIMIT)
    async with opened(proxy, versioned) as store:
        for path in (f"s3://{plain.name}/far.html", f"s3://{versioned.name}/../x", "s3://", "../x", "/x", "a//b", ""):
            with pytest.raises(InvalidInputError):
                await store.read(path, LIMIT)


async def test_largest_is_a_limit_for_what_is_held(proxy: Proxy, versioned: Bucket) -> None:
    await versioned.put("t", b"x" * 101)
    async with opened(proxy, versioned) as store:
        with pytest.raises(TooLargeError, match="t is larger than 100 bytes"):
            await store.read("t", 100)
        assert len((await store.read("t", 101)).content) == 101


async def test_folder_and_buckets_are_one_store(proxy: Proxy, plain: Bucket, tmp_path: object) -> None:
    await plain.put("far.html", "far")
    store = open_store(f"file://{tmp_path}", buckets=[plain.name], endpoint_url=proxy.url)
    await store.start()
    assert (await store.read(f"s3://{plain.name}/far.html", LIMIT)).content == b"far"
    with pytest.raises(NotFoundError):
        await store.read("near.html", LIMIT)
    await store.stop()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("AWS_ACCESS_KEY_ID", "unknown", "InvalidAccessKeyId"),
        ("AWS_SECRET_ACCESS_KEY", "wrong", "SignatureDoesNotMatch"),
    ],
)
async def test_wrong_credentials_are_not_now(
    proxy: Proxy, versioned: Bucket, monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    await versioned.put("t", "x")
    monkeypatch.setenv(name, value)
    async with opened(proxy, versioned) as store:
        with pytest.raises(UnavailableError, match=said):
            await store.read("t", LIMIT)
    assert len(proxy.seen) == 1


async def test_credentials_that_come_later_are_found(
    proxy: Proxy, versioned: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    await versioned.put("t", "x")
    with monkeypatch.context() as without:
        without.delenv("AWS_ACCESS_KEY_ID")
        without.delenv("AWS_SECRET_ACCESS_KEY")
        store = open_store(f"s3://{versioned.name}", endpoint_url=proxy.url)
        await store.start()
        with pytest.raises(UnavailableError, match="no credentials"):
            await store.read("t", LIMIT)
    assert (await store.read("t", LIMIT)).content == b"x"
    await store.stop()


async def test_bucket_that_is_not_there_is_not_now(proxy: Proxy, versioned: Bucket) -> None:
    async with opened(proxy, Bucket("nobodys-bucket", None)) as store:
        with pytest.raises(UnavailableError, match="NoSuchBucket"):
            await store.read("t", LIMIT)
        with pytest.raises(UnavailableError):
            await store.check()
    async with opened(proxy, versioned) as store:
        await store.check()


# A connection that closes without an answer may have been idle for too long: aiohttp then asks on a new one, once.
@pytest.mark.parametrize(
    ("fault", "asked"),
    [("slow_down", 1), ("error", 1), ("not_s3", 1), ("empty_404", 1), ("cut", 1), ("hang", 1), ("reset", 2)],
)
async def test_whatever_breaks_is_not_now_and_not_tried_again(
    proxy: Proxy, versioned: Bucket, monkeypatch: pytest.MonkeyPatch, fault: str, asked: int
) -> None:
    monkeypatch.setattr(s3, "READ_SECONDS", 0.3)
    await versioned.put("t", b"x" * 900)
    async with opened(proxy, versioned) as store:
        proxy.fault = fault
        with pytest.raises(UnavailableError, match="t cannot be read now"):
            await store.read("t", LIMIT)
        assert len(proxy.seen) == asked
        proxy.fault = ""
        assert len((await store.read("t", LIMIT)).content) == 900


async def test_body_that_drips_ends_at_the_deadline(
    proxy: Proxy, versioned: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "REQUEST_SECONDS", 0.3)
    async with opened(proxy, versioned) as store:
        proxy.fault = "hang"
        async with asyncio.timeout(5):
            with pytest.raises(UnavailableError, match="TimeoutError"):
                await store.read("t", LIMIT)


async def test_nobody_listens_is_not_now(proxy: Proxy, versioned: Bucket) -> None:
    proxy.url = f"http://127.0.0.1:{free_port()}"
    async with opened(proxy, versioned) as store:
        with pytest.raises(UnavailableError, match="EndpointConnectionError"):
            await store.read("t", LIMIT)


async def test_store_that_hangs_is_left_alone_so_that_nobody_waits_for_it(
    proxy: Proxy, versioned: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "READ_SECONDS", 0.2)
    monkeypatch.setattr(s3, "LONGEST_REST_SECONDS", 0.5)
    await versioned.put("t", "x")
    async with opened(proxy, versioned) as store:
        proxy.fault = "hang"
        for _ in range(5):
            with pytest.raises(UnavailableError):
                await store.read("t", LIMIT)
        assert len(proxy.seen) == 2
        proxy.fault = ""
        async with asyncio.timeout(10):
            while True:
                try:
                    blob = await store.read("t", LIMIT)
                    break
                except UnavailableError:
                    await asyncio.sleep(0.05)
    assert blob.content == b"x"


async def test_files_that_begin_so_are_listed_without_deeper_ones(proxy: Proxy, plain: Bucket) -> None:
    for key in ("p/a/w.de.html", "p/a/w.html", "p/a/x.html", "p/a/w.d/deep.html"):
        await plain.put(key, "x")
    async with opened(proxy, plain, prefix="/p") as store:
        assert await store.list("a/w.", 9) == ["a/w.de.html", "a/w.html"]
        assert await store.list(f"s3://{plain.name}/p/a/x", 9) == [f"s3://{plain.name}/p/a/x.html"]
        assert await store.list("gone/w.", 9) == []
        with pytest.raises(TooLargeError):
            await store.list("a/w.", 1)
