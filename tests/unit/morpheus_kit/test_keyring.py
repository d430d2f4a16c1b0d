import base64
import hashlib
import os
from pathlib import Path

import pytest

from morpheus_kit.clock import ManualClock
from morpheus_kit.config import ConfigError
from morpheus_kit.errors import ForbiddenError, ThrottledError, UnauthenticatedError
from morpheus_kit.keyring import Key, Keyring, RateLimiter

SECRET = "whsec_" + base64.b64encode(bytes(32)).decode()


def table(key_id: str = "default", **changes: str) -> str:
    values = {
        "secrets": f'["{SECRET}"]',
        "token_sha256": f'["{hashlib.sha256(key_id.encode()).hexdigest().upper()}"]',
        "scopes": '["send", "read"]',
        "company_codes": '["acme"]',
        **changes,
    }
    lines = [f"{name} = {value}" for name, value in values.items()]
    return "\n".join(["[[keys]]", f'id = "{key_id}"', *lines, ""])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "keys.toml"
    path.write_text(table())
    return path


def rewrite(path: Path, text: str) -> None:
    before = path.stat().st_mtime_ns
    path.write_text(text)
    os.utime(path, ns=(before + 10**9, before + 10**9))


def test_keys_are_found_by_id_and_by_token(path: Path) -> None:
    keyring = Keyring(path)
    assert keyring.by_id("default") == keyring.by_token("default")


def test_unknown_keys_and_tokens_are_refused(path: Path) -> None:
    keyring = Keyring(path)
    with pytest.raises(UnauthenticatedError, match="morpheus-key"):
        keyring.by_id("other")
    with pytest.raises(UnauthenticatedError, match="token"):
        keyring.by_token("other")


def test_a_changed_file_counts_from_the_next_request(path: Path) -> None:
    keyring = Keyring(path)
    rewrite(path, table("second"))
    assert keyring.by_id("second").id == "second"
    with pytest.raises(UnauthenticatedError):
        keyring.by_id("default")


@pytest.mark.parametrize("text", ["[[keys", table(secrets='["nonsense"]'), table(rate="-1")])
def test_a_broken_change_leaves_the_keys_in_force(path: Path, text: str) -> None:
    keyring = Keyring(path)
    rewrite(path, text)
    assert keyring.by_id("default").id == "default"
    rewrite(path, table("third"))
    assert keyring.by_id("third").id == "third"


def test_a_file_that_goes_away_leaves_the_keys_in_force(path: Path) -> None:
    keyring = Keyring(path)
    path.unlink()
    assert keyring.by_id("default").id == "default"


@pytest.mark.parametrize(
    "text",
    [
        "[[keys",
        '[[keys]]\nsecrets = ["x"]',
        table(secrets='["whsec_AAAA"]'),
        table(scopes='["sned"]'),
        table(rate='"fast"'),
        table(typo="1"),
        table() + table(),
        table("a", token_sha256='["00"]') + table("b", token_sha256='["00"]'),
    ],
)
def test_a_start_with_a_broken_file_is_refused(path: Path, text: str) -> None:
    path.write_text(text)
    with pytest.raises(ConfigError, match="MORPHEUS_KEYS_FILE"):
        Keyring(path)


def test_a_start_without_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="MORPHEUS_KEYS_FILE"):
        Keyring(tmp_path / "none.toml")


def key(*, scopes: str = "send read", companies: str = "acme", domains: str | None = None) -> Key:
    return Key(
        "k",
        (),
        (),
        frozenset(scopes.split()),
        frozenset(companies.split()),
        None if domains is None else frozenset(domains.split()),
    )


@pytest.mark.parametrize(
    ("holder", "company", "allowed"),
    [
        (key(), "acme", True),
        (key(), "other", False),
        (key(), "*", False),
        (key(companies="*"), "anybody", True),
        (key(companies="*"), "*", False),
        (key(companies="*", scopes="admin"), "*", True),
        (key(companies="acme", scopes="admin"), "*", False),
    ],
)
def test_companies(holder: Key, company: str, *, allowed: bool) -> None:
    if allowed:
        holder.require_company(company)
    else:
        with pytest.raises(ForbiddenError):
            holder.require_company(company)


def test_scopes() -> None:
    key().require_scope("send")
    for scope in ("operate", "admin"):
        with pytest.raises(ForbiddenError, match=scope):
            key().require_scope(scope)
    with pytest.raises(ForbiddenError):
        key(scopes="admin").require_scope("admin")


def test_sender_domains() -> None:
    key().require_sender("any.example.com")
    key(domains="books.example.com").require_sender("Books.example.com")
    for domain in ("example.com", "sub.books.example.com"):
        with pytest.raises(ForbiddenError):
            key(domains="books.example.com").require_sender(domain)
    with pytest.raises(ForbiddenError):
        key(domains="").require_sender("books.example.com")


def test_rate_is_a_minutes_posts_at_once_and_then_evenly() -> None:
    clock = ManualClock()
    limiter = RateLimiter(clock)
    slow = Key("slow", (), (), frozenset(), frozenset(), rate=2)
    limiter.take(slow)
    limiter.take(slow)
    with pytest.raises(ThrottledError) as caught:
        limiter.take(slow)
    assert caught.value.retry_after == pytest.approx(30)
    clock.advance(30)
    limiter.take(slow)
    with pytest.raises(ThrottledError):
        limiter.take(slow)


def test_keys_without_rate_are_not_counted() -> None:
    limiter = RateLimiter(ManualClock())
    for _ in range(1000):
        limiter.take(key())
