"""Who submits: the signature, and what its key may do."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass

from morpheus.intake.v1.intake_pb2 import GroupHeader

from morpheus_kit import signing
from morpheus_kit.clock import Clock
from morpheus_kit.errors import UnauthenticatedError
from morpheus_kit.keyring import Key, Keyring
from services.intake.addresses import parse_mailbox

_DIGEST_BYTES = 32


@dataclass(frozen=True, slots=True)
class Access:
    """A key that may submit this header; `is_http`: the content is an HTTP body that the gateway has read."""

    key: Key
    is_http: bool


@dataclass(frozen=True, slots=True)
class Targets:
    """What is signed besides the content: method and path over HTTP, the method of a direct call."""

    http: str
    rpc: str


SUBMIT = Targets(signing.HTTP_POST, signing.RPC_POST)
PREVIEW = Targets(signing.HTTP_PREVIEW, signing.RPC_PREVIEW)


def authorise(
    header: GroupHeader, metadata: Mapping[str, str], keyring: Keyring, clock: Clock, targets: Targets = SUBMIT
) -> Access:
    """UnauthenticatedError when nobody signed this content, ForbiddenError when the key may not."""
    if len(header.content_sha256) != _DIGEST_BYTES:
        raise UnauthenticatedError("content_sha256: 32 bytes are required.")
    http_payload = signing.payload_of(targets.http, header.content_sha256)
    forwarded = metadata.get(signing.PAYLOAD_METADATA)
    if forwarded is not None and not hmac.compare_digest(forwarded.encode(), http_payload.encode()):
        raise UnauthenticatedError("content_sha256: is not the digest that was signed.")
    is_http = forwarded is not None
    payload = http_payload if is_http else signing.payload_of(targets.rpc, header.content_sha256)
    key = keyring.verify(signing.SignatureHeaders.of(metadata), payload, clock.now_ms() / 1000)
    key.require_scope("send")
    key.require_company(header.company_code)
    sender = parse_mailbox(header.from_address)
    if sender is not None:  # what is no address is refused as such
        key.require_sender(sender.domain)
    return Access(key, is_http)
