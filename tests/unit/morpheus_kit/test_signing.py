import base64
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import pytest

from morpheus_kit import signing
from morpheus_kit.errors import UnauthenticatedError

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "signing.json").read_text())
NOW = 1_780_000_000
KEY = bytes(range(32))
OTHER_KEY = bytes(range(32, 64))
PAYLOAD = "POST /v1/groups 00"


def headers(
    *, webhook_id: str = "msg_1", timestamp: str = str(NOW), signature: str | None = None
) -> signing.SignatureHeaders:
    made = signing.sign(KEY, webhook_id, timestamp, PAYLOAD)
    return signing.SignatureHeaders(webhook_id, timestamp, made if signature is None else signature)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_vectors_agree(vector: dict[str, Any]) -> None:
    body = base64.b64decode(vector["body_base64"])
    payload = signing.payload_of(signing.HTTP_POST, hashlib.sha256(body).digest())
    assert payload == vector["payload"]
    key = signing.decode_secret(vector["secret"])
    assert signing.sign(key, vector["webhook_id"], vector["webhook_timestamp"], payload) == vector["signature"]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_vectors_can_be_made_from_the_scheme_alone(vector: dict[str, Any]) -> None:
    key = base64.b64decode(vector["secret"].removeprefix("whsec_"))
    signed = f"{vector['webhook_id']}.{vector['webhook_timestamp']}.{vector['payload']}"
    mac = hmac.new(key, signed.encode(), hashlib.sha256).digest()
    assert vector["signature"] == "v1," + base64.b64encode(mac).decode()


def test_what_is_signed_is_verified() -> None:
    secret = "whsec_" + base64.b64encode(KEY).decode()
    made = signing.SignatureHeaders.of(signing.signed_headers(secret, b"\x80", now_s=NOW, key_id="k"))
    assert made.key_id == "k"
    payload = signing.payload_of(signing.HTTP_POST, hashlib.sha256(b"\x80").digest())
    signing.verify(made, payload, [KEY], NOW)


def test_any_valid_signature_and_any_secret_is_enough() -> None:
    valid = headers().signature
    wrong = signing.sign(OTHER_KEY, "msg_1", str(NOW), "another payload")
    signing.verify(headers(signature=f"v2,xx {wrong} {valid} v1,"), PAYLOAD, [OTHER_KEY, KEY], NOW)


@pytest.mark.parametrize("drift", [-300, 0, 300])
def test_time_within_tolerance(drift: int) -> None:
    signing.verify(headers(), PAYLOAD, [KEY], NOW + drift)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (headers(webhook_id=""), "webhook-id"),
        (headers(webhook_id="x" * 129), "webhook-id"),
        (headers(webhook_id="a\tb"), "webhook-id"),
        (headers(webhook_id="ä"), "webhook-id"),
        (headers(timestamp=""), "webhook-timestamp"),
        (headers(timestamp="soon"), "webhook-timestamp"),
        (headers(timestamp="-5"), "webhook-timestamp"),
        (headers(timestamp="١٧٨٠٠٠٠٠٠٠"), "webhook-timestamp"),
        (headers(timestamp="9" * 400), "webhook-timestamp"),
        (headers(timestamp=str(NOW + 301)), "webhook-timestamp"),
        (headers(timestamp=str(NOW - 301)), "webhook-timestamp"),
        (headers(signature=""), "webhook-signature"),
        (headers(signature="v1,AAAA"), "webhook-signature"),
        (headers(signature="v1,ä"), "webhook-signature"),
        (headers(signature=headers().signature.removeprefix("v1,")), "webhook-signature"),
        (headers(signature=headers().signature.replace("v1,", "v2,")), "webhook-signature"),
        (headers(signature="v1,A " * 2000), "webhook-signature"),
    ],
)
def test_refusals_say_which_header_failed_and_nothing_more(given: signing.SignatureHeaders, named: str) -> None:
    with pytest.raises(UnauthenticatedError, match=f"^{named}: ") as caught:
        signing.verify(given, PAYLOAD, [KEY], NOW)
    assert signing.sign(KEY, given.webhook_id, given.timestamp, PAYLOAD) not in caught.value.message


@pytest.mark.parametrize("changed", ["POST /v1/groups 01", "POST /v1/preview 00", "GET /v1/groups 00"])
def test_signature_binds_method_path_and_digest(changed: str) -> None:
    with pytest.raises(UnauthenticatedError):
        signing.verify(headers(), changed, [KEY], NOW)


def test_a_key_without_secrets_signs_nothing() -> None:
    with pytest.raises(UnauthenticatedError):
        signing.verify(headers(), PAYLOAD, [], NOW)


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "secret",
        base64.b64encode(KEY).decode(),
        "whsec_%%%",
        "whsec_" + base64.b64encode(b"x" * 23).decode(),
        "whsec_" + base64.b64encode(b"x" * 65).decode(),
    ],
)
def test_secrets_have_one_form(secret: str) -> None:
    with pytest.raises(ValueError, match="secret"):
        signing.decode_secret(secret)


@pytest.mark.parametrize("length", [24, 64])
def test_secrets_of_every_length(length: int) -> None:
    assert signing.decode_secret("whsec_" + base64.b64encode(b"x" * length).decode()) == b"x" * length
