"""Which loaded templates a worker keeps."""

from __future__ import annotations

import hashlib

import pytest

from services.renderer import pinned
from services.renderer.analysis import compile_template
from services.renderer.frames import Compile
from services.renderer.pinned import TemplateSets
from services.renderer.shared_cache import LostTemplatesError, OwnedCache


def published(cache: OwnedCache, *sources: str) -> dict[str, str]:
    """Versions of templates `t0`, `t1` … in the cache."""
    versions = {}
    for number, source in enumerate(sources):
        path = f"t{number}"
        versions[path] = hashlib.sha256(source.encode()).hexdigest()
        cache.put(path, versions[path], compile_template(Compile(path, source.encode())).content)
    return versions


def test_sets_are_found_again_and_the_oldest_goes(cache: OwnedCache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pinned, "MOST_SETS", 2)
    sets = TemplateSets(cache)
    versions = published(cache, "a", "b", "c")
    a, b, c = ({path: version} for path, version in versions.items())
    first = sets.get(a, strict=True)
    assert sets.get(a, strict=True) is first
    assert sets.get(a, strict=False) is not first
    assert sets.get(a, strict=True) is first
    sets.get(b, strict=True)
    sets.get(c, strict=True)
    assert sets.get(a, strict=True) is not first


def test_worker_maps_a_bounded_number_of_templates(cache: OwnedCache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pinned, "MOST_TEMPLATES", 3)
    sets = TemplateSets(cache)
    versions = published(cache, "a", "b", "c", "d")
    for path, version in versions.items():
        sets.get({path: version}, strict=True)
    assert len(sets._templates) == 3
    sets.get(versions, strict=True)  # one set is whole, however large
    assert len(sets._templates) == 4


def test_set_goes_on_when_its_files_are_unlinked(cache: OwnedCache) -> None:
    sets = TemplateSets(cache)
    versions = published(cache, "{% include 't1' %}", "x")
    templates = sets.get(versions, strict=True)
    for path, version in versions.items():
        cache.drop(path, version)
    assert sets.get(versions, strict=True).html("t0").render() == templates.html("t0").render() == "x"
    with pytest.raises(LostTemplatesError) as lost:
        TemplateSets(cache).get(versions, strict=True)
    assert lost.value.versions == versions


def test_worker_compiles_nothing_but_subjects(cache: OwnedCache, monkeypatch: pytest.MonkeyPatch) -> None:
    versions = published(cache, "{% include 't1' %}", "{{ '<' }}")
    monkeypatch.delattr("jinja2.Environment.compile")
    templates = TemplateSets(cache).get(versions, strict=True)
    assert (templates.html("t0").render(), templates.text("t0").render()) == ("&lt;", "<")


def test_subject_is_compiled_once(cache: OwnedCache) -> None:
    templates = TemplateSets(cache).get({}, strict=True)
    assert templates.subject("Hi {{ x }}") is templates.subject("Hi {{ x }}")
    for number in range(pinned.MOST_SUBJECTS):
        templates.subject(f"{number}")
    assert len(templates._subjects) == pinned.MOST_SUBJECTS
