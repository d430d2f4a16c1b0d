"""The folder that workers share."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from morpheus_kit.errors import UnavailableError
from services.renderer.shared_cache import CompiledTemplate, OwnedCache, SharedCache, default_parent, remove_abandoned

CODE = compile("1", "x", "eval")
FILE = CompiledTemplate.pack(CODE, CODE)


def files(cache: OwnedCache) -> list[Path]:
    return list((cache.folder / "templates").iterdir())


def test_both_variants_come_out_of_one_file(cache: OwnedCache) -> None:
    html, text = compile("'html'", "x", "eval"), compile("'text'", "x", "eval")
    cache.put("t", "v1", CompiledTemplate.pack(html, text))
    assert cache.has("t", "v1")
    loaded = SharedCache(cache.folder).load("t", "v1")
    assert loaded is not None
    assert (loaded.code(html=True), loaded.code(html=False)) == (html, text)
    assert len(files(cache)) == 1
    assert cache.load("t", "v2") is cache.load("u", "v1") is None


@pytest.mark.parametrize("version", ["", "..", "a/b", "../x", "a\0", "v" * 2000, "é"])
def test_version_that_looks_like_a_path_is_none(cache: OwnedCache, version: str) -> None:
    cache.put("../t", version, FILE)
    assert cache.load("../t", version) is not None
    assert [len(file.name) for file in files(cache)] == [64]


@pytest.mark.parametrize("damaged", [b"", FILE[:10], FILE[:-1], FILE + b"x", FILE[:-1] + b"x"])
def test_damaged_file_is_none(cache: OwnedCache, damaged: bytes) -> None:
    cache.put("t", "v", FILE)
    [file] = files(cache)
    file.write_bytes(damaged)
    assert cache.load("t", "v") is None
    cache.put("t", "v", FILE)
    assert cache.load("t", "v") is not None


def test_least_used_files_make_room(tmp_path: Path) -> None:
    cache = OwnedCache.create(tmp_path, most_bytes=2 * len(FILE))
    for version in ("a", "b"):
        cache.put("t", version, FILE)
    mapped = cache.load("t", "b")
    assert cache.has("t", "a")
    cache.put("t", "c", FILE)
    assert (cache.has("t", "a"), cache.has("t", "b"), cache.has("t", "c")) == (True, False, True)
    assert len(files(cache)) == 2
    assert mapped is not None
    assert mapped.code(html=True) == CODE
    cache.remove()


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Lets files of a folder have so many bytes together, as a small tmpfs does: then a part of one is written."""
    plain = Path.write_bytes

    def limit(room: int) -> None:
        def write(self: Path, content: bytes) -> int:
            used = sum(file.stat().st_size for file in self.parent.iterdir())
            plain(self, content[: max(0, room - used)])
            if used + len(content) > room:
                raise OSError(errno.ENOSPC, "no space left")
            return len(content)

        monkeypatch.setattr(Path, "write_bytes", write)

    return limit


def test_memory_that_is_smaller_than_the_limit_makes_room_too(cache: OwnedCache, full: Callable[[int], None]) -> None:
    full(2 * len(FILE) + 1)
    for version in ("a", "b"):
        cache.put("t", version, FILE)
    assert cache.has("t", "a")
    cache.put("t", "c", FILE)
    assert (cache.has("t", "a"), cache.has("t", "b"), cache.has("t", "c")) == (True, False, True)
    assert all(cache.load("t", version) for version in "ac")
    assert len(files(cache)) == 2


def test_no_room_for_one_template_is_not_now_and_leaves_nothing(cache: OwnedCache, full: Callable[[int], None]) -> None:
    full(len(FILE) - 1)
    with pytest.raises(UnavailableError, match="no room"):
        cache.put("t", "a", FILE)
    assert files(cache) == []


def test_mapped_file_stays_as_it_was_when_it_is_made_again(cache: OwnedCache) -> None:
    cache.put("t", "v", FILE)
    mapped = cache.load("t", "v")
    other = compile("2", "x", "eval")
    cache.put("t", "v", CompiledTemplate.pack(other, other))
    assert mapped is not None
    assert mapped.code(html=True) == CODE


def test_start_removes_what_was_never_finished(tmp_path: Path) -> None:
    for name, age in (("old", 100), ("new", 0)):
        folder = tmp_path / f".morpheus-renderer-{name}"
        folder.mkdir()
        os.utime(folder, (time.time() - age,) * 2)
    remove_abandoned(tmp_path)
    assert [folder.name for folder in tmp_path.iterdir()] == [".morpheus-renderer-new"]


def test_start_removes_what_the_dead_have_left_and_nothing_else(tmp_path: Path) -> None:
    living, dead = OwnedCache.create(tmp_path), OwnedCache.create(tmp_path)
    dead._lock.close()
    (tmp_path / "morpheus-renderer-foreign").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "morpheus-renderer-link").symlink_to(tmp_path / "other")
    remove_abandoned(tmp_path)
    assert living.folder.exists()
    assert not dead.folder.exists()
    assert (tmp_path / "other").exists()
    assert (tmp_path / "morpheus-renderer-foreign").exists()
    living.remove()
    assert not living.folder.exists()


def test_folder_is_private(cache: OwnedCache) -> None:
    assert cache.folder.stat().st_mode & 0o077 == 0


def test_default_is_a_folder_that_is_there() -> None:
    assert default_parent().is_dir()
