import pytest

from gateway.html_view import html_response, inert


@pytest.mark.parametrize(
    "html",
    [
        '<a href="https://example.com/x">x</a>',
        "<A HREF=https://example.com/x>x</A>",
        '<a\nhref="https://example.com/x"\nping="https://example.com/y">x</a>',
        "<map><area href='//example.com'></map>",
        '<form action="https://example.com"><button formaction="https://example.com">x</button></form>',
        '<form><input type="image" formaction="https://example.com"></form>',
        '<svg><a xlink:href="https://example.com"><text>x</text></a></svg>',
        '<meta http-equiv="refresh" content="0; url=https://other.org">',
        '<base href="https://example.com/">',
        '<iframe src="https://example.com/"></iframe>',
        '<iframe srcdoc="&lt;a href=https://example.com&gt;"></iframe>',
        '<object data="https://example.com/"></object><embed src="https://example.com/">',
        '<!--><a href="https://example.com">x</a>-->',
        '<p><a href="https://example.com">unclosed',
        '<div title="</div><a href=https://example.com>"><a href="https://example.com">x</a></div>',
    ],
)
def test_nothing_leads_away(html: str) -> None:
    page = inert(html)
    assert 'href="' not in page.replace("&lt;a href=", "").replace("<a href=https://example.com>", "")
    for attribute in ("action=", "formaction=", "srcdoc=", "ping=", "http-equiv=", " src=", "data="):
        assert attribute not in page


def test_words_images_and_style_stay() -> None:
    page = inert('<style>p{color:red}</style><p style="margin:0">Grüße &amp; <img src="https://example.com/a.png"></p>')
    assert '<p style="margin:0">Grüße &amp; <img src="https://example.com/a.png"></p>' in page
    assert "<style>p{color:red}</style>" in page


def test_an_empty_body() -> None:
    assert "<body></body>" in inert("")


def test_neither_page_runs_scripts() -> None:
    for safe in (True, False):
        policy = html_response("<p>x</p>", safe=safe).headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; img-src http: https: data:; style-src 'unsafe-inline'; ")
        assert "allow-scripts" not in policy
        assert "allow-same-origin" not in policy
