"""CSS on the elements, text parts people can read, subjects of one line."""

from __future__ import annotations

import pytest

from services.renderer.text import inline_css, one_line, text_of


def test_rules_move_to_their_elements_and_media_queries_stay() -> None:
    html = inline_css("<style>p { margin: 0 } @media (max-width: 5px) { p { margin: 9px } }</style><p>x</p>")
    assert '<p style="margin: 0;">x</p>' in html
    assert "@media (max-width: 5px)" in html


def test_html_without_style_is_left_alone() -> None:
    assert inline_css("<p>a &nbsp; b") == "<p>a &nbsp; b"


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/x.css", "file:///etc/passwd", "x.css"])
def test_no_style_sheet_is_ever_loaded(address: str) -> None:
    html = inline_css(f'<style>p{{margin:0}}</style><link rel="stylesheet" href="{address}"><p>x</p>')
    assert f'href="{address}"' in html
    assert "root:" not in html


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>One</p><p>Two<br>Three</p>", "One\n\nTwo\nThree"),
        ("<style>p{}</style><script>x</script><title>t</title><p>a</p>", "a"),
        ('<a href="https://example.com/?a=1&amp;b=2">Follow</a>', "Follow (https://example.com/?a=1&b=2)"),
        ('<a href="https://example.com">https://example.com</a>', "https://example.com"),
        ('<a href="mailto:a@example.com">a@example.com</a>', "a@example.com"),
        ('<a href="#top">top</a> f(x) (y)', "top f(x) (y)"),
        ("<ul><li>a</li><li>b</li></ul>", "• a\n  • b"),
        ("<table><tr><td>Book</td><td>£3</td></tr><tr><td>Pen</td><td>£1</td></tr></table>", "Book  £3\nPen  £1"),
        ('<img src="x" alt="Logo">', "Logo"),
        ("<p>&lt;b&gt; &amp; é 日本</p>", "<b> & é 日本"),
        ("", ""),
    ],
)
def test_text_part_reads_like_the_page(html: str, text: str) -> None:
    assert text_of(html) == text


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ("a\r\n b", "a b"),
        ("  a  b ", "a b"),
        ("a\x00b\x7fc", "a b c"),
        ("a\u2028b\u2029c\x85d", "a b c d"),
        ("né 日本 👍", "né 日本 👍"),
        ("", ""),
    ],
)
def test_subject_is_one_line(given: str, line: str) -> None:
    assert one_line(given) == line
