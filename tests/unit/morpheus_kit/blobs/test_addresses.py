"""How places in S3 are written."""

from __future__ import annotations

import pytest

from morpheus_kit.blobs import check_url, open_store
from morpheus_kit.blobs.addresses import check_buckets, known_buckets, split_path, split_url
from morpheus_kit.blobs.local import FolderStore
from morpheus_kit.blobs.pair import StorePair
from morpheus_kit.errors import InvalidInputError

BUCKETS = frozenset({"own", "listed.one"})


@pytest.mark.parametrize(
    ("url", "bucket", "prefix"),
    [
        ("s3://own", "own", ""),
        ("s3://own/", "own", ""),
        ("s3://own/a", "own", "a"),
        ("s3://own/a/b c/", "own", "a/b c"),
    ],
)
def test_address_of_a_store(url: str, bucket: str, prefix: str) -> None:
    assert split_url(url) == (bucket, prefix)
    assert check_url(url) == url


@pytest.mark.parametrize(
    "url", ["s3://", "s3:///a", "s3://Own", "s3://a_b", "s3://ab", "s3://own//a", "s3://own/../a", "S3://own", "own/a"]
)
def test_what_is_no_address_of_a_store(url: str) -> None:
    with pytest.raises(ValueError, match="s3://"):
        split_url(url)


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("s3://own/a", ("own", "a")),
        ("s3://listed.one/a/b%20c?d#e", ("listed.one", "a/b%20c?d#e")),
    ],
)
def test_path_with_a_bucket(path: str, place: tuple[str, str]) -> None:
    assert split_path(path, BUCKETS) == place


@pytest.mark.parametrize(
    "path",
    [
        *("s3://other/a", "s3://own", "s3://own/", "s3://own//a", "s3://own/a/", "s3://own/./a", "s3://own/a/../b"),
        *("s3:///a", "s3://", "S3://own/a", "own/a", "s3://own/a\\b", "s3://own/a\0b", "s3://own@other/a"),
    ],
)
def test_path_that_is_refused(path: str) -> None:
    with pytest.raises(InvalidInputError):
        split_path(path, BUCKETS)


def test_bucket_of_the_store_is_always_known() -> None:
    assert known_buckets("s3://own/prefix", ["more"]) == {"own", "more"}
    assert known_buckets("file:///folder", ["more"]) == {"more"}
    assert known_buckets("", ()) == frozenset()


def test_names_that_no_bucket_can_have_are_refused() -> None:
    assert check_buckets(("own", "listed.one")) == ("own", "listed.one")
    with pytest.raises(ValueError, match="Upper"):
        check_buckets(("own", "Upper"))


def test_folder_alone_needs_no_s3(tmp_path: object) -> None:
    assert isinstance(open_store(f"file://{tmp_path}"), FolderStore)
    assert isinstance(open_store(f"file://{tmp_path}", buckets=["own"]), StorePair)
