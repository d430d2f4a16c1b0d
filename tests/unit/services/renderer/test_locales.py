"""Names of locales, what stands for one that has no file, and which files belong to a template."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.renderer.failures import RenderError
from services.renderer.locales import canonical, choose, fallbacks, prefix_of, text_beside, variants

LOCALES = st.sampled_from(["en", "en-GB", "de", "de-CH", "zh-Hant-TW", "es-419", "fil"])


@pytest.mark.parametrize(
    ("given_", "locale"),
    [
        ("en", "en"),
        ("en-gb", "en-GB"),
        ("EN_GB", "en-GB"),
        ("zh-hant-tw", "zh-Hant-TW"),
        ("es_419", "es-419"),
        ("", ""),
        (None, ""),
    ],
)
def test_a_locale_has_one_spelling(given_: str | None, locale: str) -> None:
    assert canonical(given_) == locale


@pytest.mark.parametrize(
    "given_", ["english", "en-", "en-GBR", "xx", "../en", "en\n", "e", "en-GB-x", 5, ["en"], "old"]
)
def test_what_is_no_locale_is_named(given_: object) -> None:
    with pytest.raises(RenderError, match=r"context\.locale"):
        canonical(given_)


@given(LOCALES, st.sets(LOCALES))
def test_the_nearest_variant_is_chosen_and_the_template_itself_is_the_last(locale: str, there: set[str]) -> None:
    known = {"a/b.html", *(f"a/b.{name}.html" for name in there)}
    chosen = choose("a/b.html", locale, known)
    assert chosen in known
    nearest = next((name for name in fallbacks(locale) if name in there), "")
    assert chosen == (f"a/b.{nearest}.html" if nearest else "a/b.html")
    assert variants("a/b.html", sorted(known)) == sorted(known - {"a/b.html"})


@pytest.mark.parametrize(
    ("path", "prefix", "text"),
    [
        ("a.b/welcome.html", "a.b/welcome.", "a.b/welcome.txt"),
        ("welcome.min.md", "welcome.min.", "welcome.min.txt"),
        ("sms.txt", "sms.", ""),
        ("a.b/welcome", "", ""),
        ("s3://bucket/welcome.html", "s3://bucket/welcome.", "s3://bucket/welcome.txt"),
    ],
)
def test_where_to_look_for_what_belongs_to_a_template(path: str, prefix: str, text: str) -> None:
    assert (prefix_of(path), text_beside(path)) == (prefix, text)
    assert choose(path, "en", {path}) == path


def test_only_variants_and_texts_belong_to_a_template() -> None:
    mine = ["w.de-CH.html", "w.de.html", "w.de.txt", "w.txt"]
    others = ["w.html", "w.old.html", "w.DE.html", "w.de_CH.html", "w.de.md", "w..html", "w.min.de.html", "w.css"]
    assert variants("w.html", sorted(mine + others)) == mine
    assert variants("w.txt", ["w.de.txt", "w.html", "w.txt"]) == ["w.de.txt"]
