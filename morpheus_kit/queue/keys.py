"""The names of all keys in Redis; `delivery.md` says what lies under each. One slot a partition."""

from __future__ import annotations

LAYOUT = "morpheus:layout"
SENDERS = "senders"  # consumer group of `groups` and `messages:*`
TRACKERS = "trackers"  # consumer group of `outcomes`


def prefix(partition: int) -> str:
    """What every key of a partition begins with; the braces are the cluster's hash tag."""
    return f"morpheus:{{{partition}}}:"


class Keys:
    """The keys of one partition."""

    def __init__(self, partition: int) -> None:
        """`partition` from 0."""
        self.partition = partition
        self.prefix = prefix(partition)
        self.groups = self.prefix + "groups"
        self.due = self.prefix + "due"
        self.inflight = self.prefix + "inflight"
        self.later = self.prefix + "later"
        self.later_blobs = self.prefix + "later:blobs"
        self.doubt = self.prefix + "doubt"
        self.outcomes = self.prefix + "outcomes"
        self.dead = self.prefix + "dead"
        self.suppressed = self.prefix + "suppressed"

    def staging(self, part_name: str, request_id: str) -> str:
        """An upload not yet committed."""
        return f"{self.prefix}staging:{part_name}:{request_id}"

    def idem(self, part_name: str) -> str:
        """The answer to an accepted part."""
        return f"{self.prefix}idem:{part_name}"

    def group(self, group_name: str) -> str:
        """Shared information, control word and ledger."""
        return f"{self.prefix}group:{group_name}"

    def pending(self, part_name: str) -> str:
        """Messages of a part that wait."""
        return f"{self.prefix}pending:{part_name}"

    def ring(self, method: str, priority: str) -> str:
        """The round-robin of companies; `<ring>:<company>` is that company's of parts."""
        return f"{self.prefix}ring:{method}:{priority}"

    def asks(self, provider: str) -> str:
        """Uncertain messages that this provider is to be asked for, by the time of the next question."""
        return f"{self.prefix}asks:{provider}"

    def messages(self, method: str, priority: str) -> str:
        """What senders of this method hold right now."""
        return f"{self.prefix}messages:{method}:{priority}"

    def erased(self, company: str) -> str:
        """Keyed hashes of erased persons' addresses, each with when; nothing that was accepted before goes to them."""
        return f"{self.prefix}erased:{company}"

    def suppressed_list(self, name: str) -> str:
        """Keyed hashes of addresses, each with why; `name` is `<company>/<stream>`, empty for every stream."""
        return f"{self.prefix}suppressed:{name}"


def group_name(company_code: str, group_id: str) -> str:
    """`<company>/<group>`; neither may hold a slash."""
    return f"{company_code}/{group_id}"


def part_name(company_code: str, group_id: str, part: int) -> str:
    """`<company>/<group>/<part>`."""
    return f"{company_code}/{group_id}/{part}"
