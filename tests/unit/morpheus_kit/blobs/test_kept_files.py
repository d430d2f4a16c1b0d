"""Which files of S3 are kept, to be asked for by ETag."""

from __future__ import annotations

from morpheus_kit.blobs import Blob
from morpheus_kit.blobs.s3 import Kept, KeptFiles


def kept(size: int, etag: str = "e") -> Kept:
    return Kept(etag, Blob(b"x" * size, "v"))


def place(number: int) -> tuple[str, str]:
    return "bucket", f"key{number}"


def test_least_used_files_make_room() -> None:
    files = KeptFiles(most_bytes=100)
    for number in range(4):
        files.put(place(number), kept(25))
    assert files.get(place(0)) is not None
    files.put(place(4), kept(25))
    assert [number for number in range(5) if files.get(place(number)) is None] == [1]


def test_large_files_and_those_without_etag_are_not_kept_and_leave_nothing_old_behind() -> None:
    files = KeptFiles(most_bytes=100)
    files.put(place(0), kept(10))
    files.put(place(0), kept(26))
    assert files.get(place(0)) is None
    files.put(place(1), kept(10))
    files.put(place(1), kept(10, etag=""))
    assert files.get(place(1)) is None


def test_a_file_counts_once_however_often_it_is_put() -> None:
    files = KeptFiles(most_bytes=100)
    for _ in range(50):
        files.put(place(0), kept(20))
    files.put(place(1), kept(20))
    files.forget(place(2))
    assert files.get(place(0)) is not None
    assert files.get(place(1)) is not None
