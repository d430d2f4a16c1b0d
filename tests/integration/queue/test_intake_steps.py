"""Staging and commit, each called twice with one effect."""

import pytest

from morpheus_kit.errors import UnavailableError
from morpheus_kit.queue.outcomes import pack_records
from morpheus_kit.queue.schema import MessageRecord
from tests.integration.queue.rig import REFERENCE, Rig, packed_event


async def test_staging_twice_appends_once(rig: Rig) -> None:
    for _ in range(2):
        assert await rig.queue.stage("acme/g/0", "r", [b"1 0 a x", b"1 0 b x"], 0) == 2
    assert await rig.queue.stage("acme/g/0", "r", [b"1 0 c x"], 2) == 3
    assert await rig.queue.stage("acme/g/0", "r", [b"1 0 a x", b"1 0 b x"], 0) == 3


async def test_staging_stops_when_memory_is_short(rig: Rig) -> None:
    await rig.queue.stage("acme/g/0", "r", [b"1 0 a x"], 0)
    rig.queue._memory_share = 0.71
    with pytest.raises(UnavailableError):
        await rig.queue.stage("acme/g/0", "r", [b"1 0 b x"], 1)


async def test_commit_twice_is_one_part_and_answers_as_before(rig: Rig) -> None:
    first = await rig.post()
    assert (first.kind, first.reply) == ("committed", b"\x00reply to it")
    again = await rig.post()
    assert (again.kind, again.reply) == ("replayed", b"\x00reply to it")
    assert await rig.ledger() == (3, 0, 0, 0)
    assert len(await rig.queue.read_jobs("me", 10, 0)) == 1
    assert not await rig.redis.keys("*staging*")


async def test_idempotency_entry_is_read_back(rig: Rig) -> None:
    assert await rig.queue.read_idem("acme/g/0") is None
    await rig.post()
    assert await rig.queue.read_idem("acme/g/0") == ("body", b"\x00reply to it")


async def test_another_body_is_a_conflict(rig: Rig) -> None:
    await rig.post()
    assert (await rig.post(body_digest="other")).detail == "body"


async def test_another_shared_information_is_a_conflict(rig: Rig) -> None:
    await rig.post()
    result = await rig.post(number=1, shared_digest="other")
    assert (result.kind, result.detail) == ("conflict", "shared")
    assert await rig.ledger() == (3, 0, 0, 0)


async def test_a_part_for_a_cancelled_group_is_a_conflict(rig: Rig) -> None:
    await rig.post()
    await rig.queue.cancel("acme/g", "key")
    assert (await rig.post(number=1)).detail == "cancelled"


async def test_a_part_for_a_forgotten_group_is_a_conflict(rig: Rig) -> None:
    await rig.post()
    await rig.redis.delete(rig.queue.keys.group("acme/g"))
    assert (await rig.post(number=1)).detail == "finished"
    assert (await rig.post()).kind == "replayed"


async def test_an_upload_with_a_gap_is_aborted(rig: Rig) -> None:
    await rig.queue.stage("acme/g/0", "request", [b"1 0 a x"], 0)
    result = await rig.queue.commit_part(rig.commit("acme/g/0", 2))
    assert (result.kind, result.detail) == ("aborted", "count")
    assert await rig.queue.group_state("acme/g") is None


async def test_a_reference_of_another_month_is_aborted(rig: Rig) -> None:
    await rig.post()
    assert (await rig.post(number=1, ref="202602-000-abcdef01")).detail == "ref"
    reference = await rig.queue.group_reference("acme/g")
    assert reference == ("shared", "202601-000-abcdef01", "202601", "running")
    assert await rig.queue.group_reference("acme/none") is None


async def test_a_part_of_rejected_recipients_only_is_drained_at_once(rig: Rig) -> None:
    await rig.post(count=0, total=2, rejected=2)
    assert await rig.ledger() == (0, 0, 0, 2)
    assert await rig.queue.read_jobs("me", 10, 0) == []
    assert 0 < await rig.redis.ttl(rig.queue.keys.group("acme/g")) <= 7 * 86400


async def test_a_further_part_keeps_a_drained_group(rig: Rig) -> None:
    await rig.post(count=0, total=2, rejected=2)
    await rig.post(number=1)
    assert await rig.redis.ttl(rig.queue.keys.group("acme/g")) == -1
    assert await rig.ledger() == (3, 0, 0, 2)


async def test_records_and_events_of_the_commit_are_one_entry(rig: Rig) -> None:

    records = pack_records([MessageRecord("r", "acme", "g", b"blob")])
    await rig.post(records=records, events=[packed_event(f"m{i}", "rejected", 0) for i in range(20)])
    (outcome,) = await rig.outcomes()
    assert outcome.messages[0].blob == b"blob"
    assert len(outcome.events) == 20


async def test_a_start_twice_pins_once_and_enters_the_ring_once(rig: Rig) -> None:
    await rig.post()
    (job,) = await rig.queue.read_jobs("me", 10, 0)
    assert await rig.queue.start_part(job.part, job.entry_id, b"\x81\xa1a\xa11") == "started"
    assert await rig.queue.start_part(job.part, job.entry_id, b"\x81\xa1a\xa12") == "repeated"
    assert await rig.queue.pins("acme/g/0") == b"\x81\xa1a\xa11"
    (started,) = [event for outcome in await rig.outcomes() for event in outcome.group_events]
    expected = ("acme", "g", "started", REFERENCE, {"a": "1"})
    found = (started.company_code, started.group_id, started.type, started.reference_prefix, started.template_versions)
    assert found == expected
    assert await rig.redis.llen("morpheus:{0}:ring:test:normal:acme") == 1
    assert await rig.redis.xlen(rig.queue.keys.groups) == 0


async def test_a_job_of_a_lost_dispatcher_is_claimed(rig: Rig) -> None:
    await rig.post()
    (job,) = await rig.queue.read_jobs("lost", 10, 0)
    assert await rig.queue.claim_jobs("me", 60_000, 10) == []
    assert await rig.queue.claim_jobs("me", 0, 10) == [job]
    assert await rig.queue.start_part(job.part, job.entry_id, b"\x80") == "started"


async def test_a_missing_template_rejects_the_part_alone(rig: Rig) -> None:
    await rig.post()
    await rig.post(number=1)
    first, second = await rig.queue.read_jobs("me", 10, 0)
    for answer in ("started", "repeated"):
        assert await rig.queue.fail_part(first.part, first.entry_id, "template_missing", "a.html") == answer
    await rig.queue.start_part(second.part, second.entry_id, b"")
    taken = await rig.take()
    assert (taken.ended, len(taken.items)) == (3, 3)
    outcome = (await rig.outcomes())[-1]
    assert {(e.type, e.reason_code, e.reason_text) for e in outcome.events} == {
        ("rejected", "template_missing", "a.html")
    }
    assert [m.blob for m in outcome.messages] == [b"\x80\xff\x00" * 9] * 3
    assert await rig.ledger() == (3, 0, 0, 3)


async def test_outcomes_are_acknowledged_and_deleted_once(rig: Rig) -> None:
    await rig.post()
    await rig.post_and_start("acme/h")
    await rig.queue.cancel("acme/h", "key")
    entries = await rig.read_outcomes("tracker")
    assert await rig.queue.ack_outcomes(entries) == 1
    assert await rig.queue.ack_outcomes(entries) == 0
    assert await rig.redis.xlen(rig.queue.keys.outcomes) == 0


async def test_what_may_not_be_kept_is_there_while_something_is_under_way(rig: Rig) -> None:
    """And again for a further part of a group that was drained."""
    key = rig.queue.keys.group("acme/g")
    for number in range(2):
        await rig.post(number=number, count=1, shared_kept=b"kept")
        await rig.start()
        assert await rig.redis.hget(key, "shared") == b"\x00shared"
        items = (await rig.take()).items
        assert await rig.gate(items) == ["go"]
        await rig.commit_sends(items, "sent")
        assert await rig.redis.hget(key, "shared") == b"kept"
        assert not await rig.redis.hexists(key, "shared_kept")
