"""The folder that workers share."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.renderer import shared_cache
from services.renderer.shared_cache import OwnedCache, SharedCache, default_parent, remove_abandoned


def test_copy_is_read_by_version(cache: OwnedCache) -> None:
    assert not cache.has("v1")
    cache.put("v1", b"x")
    assert cache.has("v1")
    assert SharedCache(cache.folder).read("v1") == b"x"
    with pytest.raises(FileNotFoundError):
        cache.read("v2")


@pytest.mark.parametrize("version", ["", "..", ".x", "a/b", "../x", "a\0", "v" * 200, "é"])
def test_version_that_could_be_a_path_is_not_kept(cache: OwnedCache, version: str) -> None:
    cache.put(version, b"x")
    assert not cache.has(version)
    assert not list((cache.folder / "templates").iterdir())


def test_least_used_copies_make_room(cache: OwnedCache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_cache, "MOST_BYTES", 10)
    for version in ("a", "b"):
        cache.put(version, bytes(4))
    assert cache.has("a")
    cache.put("c", bytes(4))
    assert (cache.has("a"), cache.has("b"), cache.has("c")) == (True, False, True)
    assert sorted(path.name for path in (cache.folder / "templates").iterdir()) == ["a", "c"]


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
