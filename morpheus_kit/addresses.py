"""Recipients' addresses: the form in which they are compared, and the keyed hash that stands for one."""

from __future__ import annotations

import hmac
import unicodedata

SIMULATOR_DOMAIN = "simulator.example.com"
HASH_BYTES = 16


def normalise_address(address: str) -> str:
    """The form in which addresses are compared: mail without case, numbers in any notation."""
    if "@" in address:
        return unicodedata.normalize("NFC", address.strip()).casefold()
    digits = "".join(char for char in address if char.isdigit())
    return digits.removeprefix("00") or address.strip().casefold()


def spellings(address: str) -> list[str]:
    """Every form in which an address may have been normalised: its domain in its own script, and in ASCII."""
    found = normalise_address(address)
    ascii_form = _ascii_domain(found)
    local, at, domain = ascii_form.rpartition("@")
    try:
        own_script = f"{local}{at}{domain.encode().decode('idna')}"
    except UnicodeError:
        own_script = ascii_form
    return sorted({found, ascii_form, normalise_address(own_script)})


def is_simulated(address: str) -> bool:
    """Whether a provider's behaviour is played for it; such an address is never suppressed."""
    return address.strip().lower().endswith(f"@{SIMULATOR_DOMAIN}")


class AddressHasher:
    """Makes the hash under which an address is suppressed and named in links; it cannot be turned back.

    HMAC-SHA256 over company and normalised address, its first 16 bytes: the same address of two
    companies has two hashes, and nobody without the secret can tell whether a hash is a given address.
    """

    def __init__(self, secret: str) -> None:
        """`secret` is `MORPHEUS_ADDRESS_SECRET`: the same in tracker and dispatcher, and never changed."""
        self._key = secret.encode()

    def hash(self, company: str, address: str) -> bytes:
        """Sixteen bytes; a domain may be written in its own script or in ASCII."""
        text = f"{company}\0{_ascii_domain(normalise_address(address))}"
        return hmac.digest(self._key, text.encode(), "sha256")[:HASH_BYTES]


def _ascii_domain(address: str) -> str:
    if address.isascii() or "@" not in address:
        return address
    local, _, domain = address.rpartition("@")
    try:
        return f"{local}@{domain.encode('idna').decode()}"
    except UnicodeError:
        return address
