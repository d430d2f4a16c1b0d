"""`docs/http-api.md` is a contract: what the code has must stand there."""

import json
from pathlib import Path

import msgspec

from gateway.codec import Header
from gateway.routes import groups, health, messages, posts, providers
from gateway.shapes import STATES
from morpheus_kit import wire
from morpheus_kit.errors import ALL_ERRORS
from morpheus_kit.reasons import TEXTS

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs" / "http-api.md").read_text()


def test_every_reason_has_its_anchor() -> None:
    for code, text in TEXTS.items():
        assert f'<a id="{code}"></a>`{code}` | {text} |' in TEXT


def test_every_error_code_is_named() -> None:
    for error in ALL_ERRORS:
        assert f"`{error.code}`" in TEXT


def test_every_key_of_a_post_is_named() -> None:
    for struct in (Header, wire.Recipient):
        for name in msgspec.structs.fields(struct):
            assert f"`{name.name}`" in TEXT


def test_every_path_is_named() -> None:
    for router in (posts.router, groups.router, messages.router, providers.router, health.router):
        for route in router.routes:
            assert f"{route.path}`" in TEXT  # type: ignore[attr-defined]


def test_every_state_is_named() -> None:
    for state in STATES:
        assert f"`{state}`" in TEXT


def test_the_vector_is_the_one_of_the_tests() -> None:
    vector = json.loads((ROOT / "tests" / "vectors" / "signing.json").read_text())[0]
    for name in ("secret", "payload", "webhook_id", "webhook_timestamp", "signature"):
        assert f"`{vector[name]}`" in TEXT
