"""Addresses as they are compared, and their hashes."""

from __future__ import annotations

import pytest

from morpheus_kit.addresses import HASH_BYTES, AddressHasher, is_simulated, normalise_address


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Jo@Example.com", " jo@example.COM "),
        ("+44 20 7946-0018", "00442079460018"),
        ("+44 (20) 79460018", "442079460018"),
    ],
)
def test_same_address_in_other_notation(one: str, other: str) -> None:
    assert normalise_address(one) == normalise_address(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Jo@Example.com", "jo@example.com"),
        ("jo@bücher.example", "Jo@xn--bcher-kva.example"),
        ("+44 7700 900123", "447700900123"),
    ],
)
def test_one_address_has_one_hash(one: str, other: str) -> None:
    hasher = AddressHasher("a secret of sixteen")
    assert hasher.hash("acme", one) == hasher.hash("acme", other)
    assert len(hasher.hash("acme", one)) == HASH_BYTES


def test_a_hash_tells_nothing_to_another_company_or_without_the_secret() -> None:
    one = AddressHasher("a secret of sixteen").hash("acme", "jo@example.com")
    assert AddressHasher("a secret of sixteen").hash("beta", "jo@example.com") != one
    assert AddressHasher("a secret of seventeen").hash("acme", "jo@example.com") != one


def test_simulator_addresses_are_known() -> None:
    assert is_simulated("Bounced+1@Simulator.example.com")
    assert not is_simulated("bounced@example.com")
