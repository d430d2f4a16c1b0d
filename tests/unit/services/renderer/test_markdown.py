"""Markdown templates: the template's own Markdown works, what it prints never is any."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from resiliparse.parse.html import HTMLTree

from services.renderer.markdown import to_html, written

Render = Callable[..., Any]
EVIL = "[x](javascript:alert(1)) <b>*a*</b> `c` &amp;\n\n    code\n# h | ~~x~~"


def shown(render: Render, source: str, value: Any = EVIL) -> str:
    templates = {"outer.html": "{{ content }}", "inner.md": source}
    [answer] = render(templates, inner_template="inner.md", context={"x": value})
    return str(answer.html.strip() or answer.failure.text)


@pytest.mark.parametrize(
    ("source", "html"),
    [
        ("# Hi\n\n*a* **b** `c`", "<h1>Hi</h1>\n<p><em>a</em> <strong>b</strong> <code>c</code></p>"),
        ("- a\n- b", "<ul>\n<li>a</li>\n<li>b</li>\n</ul>"),
        ("[go](https://example.org/?a=1&b=2)", '<p><a href="https://example.org/?a=1&amp;b=2">go</a></p>'),
        ('<div class="note">\n\n**b**\n\n</div>', '<div class="note">\n<p><strong>b</strong></p>\n</div>'),
        ("a <b>raw</b> &amp; c", "<p>a <b>raw</b> &amp; c</p>"),
        ("~~x~~", "<p><s>x</s></p>"),
        ("`&amp;`", "<p><code>&amp;amp;</code></p>"),
        (
            "{% for n in [1, 2] %}\n1. item {{ n }}\n{% endfor %}",
            "<ol>\n<li>\n<p>item 1</p>\n</li>\n<li>\n<p>item 2</p>\n</li>\n</ol>",
        ),
    ],
)
def test_markdown_and_html_of_the_template_are_kept(render: Render, source: str, html: str) -> None:
    assert shown(render, source) == html


@pytest.mark.parametrize(
    ("source", "value", "html"),
    [
        ("{{ x }}", "1. a", "<p>1. a</p>"),
        ("{{ x }}", "    a", "<p>    a</p>"),
        ("{{ x }}", "- a", "<p>- a</p>"),
        ("a\n{{ x }}", "===", "<p>a\n===</p>"),
        ("**{{ x }}**", "a*b*", "<p><strong>a*b*</strong></p>"),
        ("`{{ x }}`", "A-<b>&", "<p><code>A-&lt;b&gt;&amp;</code></p>"),
        ("    {{ x }}", "A-1", "<pre><code>A-1\n</code></pre>"),
        ("[go]({{ x }})", "https://e.org/a_b?x=1&y=(2)", '<p><a href="https://e.org/a_b?x=1&amp;y=(2)">go</a></p>'),
        ("[go]({{ x }})", "javascript:alert(1)", "<p>[go](javascript:alert(1))</p>"),
        ('<a href="{{ x }}">go</a>', 'https://e.org/?a=1&b="><x>', '<p><a href="https://e.org/?a=1&amp;b=&#34;&gt;&lt;x&gt;">go</a></p>'),
        ("{{ x }}", -3, "<p>-3</p>"),
        ("{{ x }}!", None, "<p>!</p>"),
        ("{{ x|safe }}", "*a* <i>b</i>", "<p><em>a</em> <i>b</i></p>"),
    ],
)  # fmt: skip
def test_what_is_printed_is_text(render: Render, source: str, value: Any, html: str) -> None:
    assert shown(render, source, value) == html


@given(st.text())
def test_any_value_comes_out_as_the_very_text_and_nothing_else(value: str) -> None:
    html = to_html(f"a{written(value)}z")
    body = HTMLTree.parse(html).body
    assert body is not None
    assert [element.tag for element in body.query_selector_all("*")] == ["p"]
    dropped = {"\x00": "\ufffd", "\r\n": "\n", "\r": "\n"}
    wanted = f"a{value}z"
    for char, shown_as in dropped.items():
        wanted = wanted.replace(char, shown_as)
    assert (body.text or "").split() == wanted.split()


def test_printed_bar_does_not_end_a_cell(render: Render) -> None:
    html = shown(render, "|a|\n|-|\n|{{ x }}|", "b|c")
    assert "<td>b|c</td>" in html


def test_missing_variable_is_named_with_its_line(render: Render) -> None:
    assert shown(render, "# Hi\n\n{{ gone }}") == "inner.md, line 3: variable 'gone' is missing"


def test_markdown_extends_includes_and_imports(render: Render) -> None:
    templates = {
        "outer.html": "<main>{{ content }}</main>{% include 'foot.md' %}",
        "inner.md": "{% extends 'base.md' %}{% block b %}"
        "{% from 'm.md' import li %}{{ li(x) }}{{ li('b') }}{% endblock %}",
        "base.md": "## List\n\n{% block b %}{% endblock %}\n{% include 'foot.md' %}",
        "m.md": "{% macro li(text) %}- {{ text }}\n{% endmacro %}",
        "foot.md": "\n*foot {{ x }}*",
    }
    [answer] = render(templates, inner_template="inner.md", context={"x": "<*>"})
    foot = "<p><em>foot &lt;*&gt;</em></p>"
    inner = f"<h2>List</h2>\n<ul>\n<li>&lt;*&gt;</li>\n<li>b</li>\n</ul>\n{foot}\n"
    assert answer.html.strip() == f"<main>{inner}</main>{foot}", answer.failure.text
    assert answer.text.startswith("List")


def test_markdown_outer_leaves_the_inner_alone(render: Render) -> None:
    templates = {"outer.md": "# {{ subject }}\n\n{{ content }}\n\n*bye*", "inner.html": "<pre>\n\n  *x*\n\n</pre>"}
    [answer] = render(templates, outer_template="outer.md")
    assert answer.html == "<h1>Hello</h1>\n<pre>\n\n  *x*\n\n</pre>\n<p><em>bye</em></p>\n"


def test_sms_shows_markdown_as_it_is_written(render: Render) -> None:
    group = {"outer_template": "", "subject_template": "", "inner_template": "sms.md"}
    [answer] = render({"sms.md": "*Hi* {{ x }}"}, context={"x": "<b>"}, **group)
    assert answer.text == "*Hi* <b>"
