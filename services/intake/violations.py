"""What is wrong with a post, collected: the first hundred breaks of a rule, and what is not built yet."""

from __future__ import annotations

from morpheus_kit.errors import FieldViolation, InvalidInputError, NotSupportedError

LIMIT = 100


class Violations:
    """Grows while a post is read; `raise_if_any` ends it."""

    def __init__(self) -> None:
        """Nothing is wrong yet."""
        self._invalid: list[FieldViolation] = []
        self._unsupported: list[FieldViolation] = []

    def __bool__(self) -> bool:
        """Whether anything is wrong."""
        return bool(self._invalid or self._unsupported)

    @property
    def full(self) -> bool:
        """Whether there are so many that reading on is of no use."""
        return len(self._invalid) >= LIMIT or len(self._unsupported) >= LIMIT

    def add(self, path: str, reason: str) -> None:
        """A rule is broken."""
        if len(self._invalid) < LIMIT:
            self._invalid.append(FieldViolation(path, reason))

    def add_unsupported(self, path: str, reason: str = "is not supported yet") -> None:
        """Something is asked for that is not built."""
        if len(self._unsupported) < LIMIT:
            self._unsupported.append(FieldViolation(path, reason))

    def raise_if_any(self) -> None:
        """NotSupportedError or InvalidInputError with all of them."""
        self.raise_if_unsupported()
        if self._invalid:
            raise InvalidInputError(_text(self._invalid), violations=tuple(self._invalid))

    def raise_if_unsupported(self) -> None:
        """What is not built comes first: its own rules (a text message needs no subject) are not built either."""
        if self._unsupported:
            raise NotSupportedError(_text(self._unsupported), violations=tuple(self._unsupported))


def _text(violations: list[FieldViolation]) -> str:
    first = f"{violations[0].path}: {violations[0].reason}"
    return first if len(violations) == 1 else f"{first} (and {len(violations) - 1} more)"
