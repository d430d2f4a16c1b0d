"""The dispatcher against the fake of Mandrill, with faults."""

from __future__ import annotations

from collections import Counter

from fakes.mandrill import Mandrill
from morpheus_kit.unsubscribe import UnsubscribeLinks
from tests.integration.dispatcher.rig import Rig


async def test_a_message_whose_answer_was_lost_is_found_and_not_sent_again(rig: Rig) -> None:
    async with Mandrill.serve(key="good") as fake:
        async with rig.dispatcher(mandrill_url=fake.url, mandrill_key="good", uncertain_after="8"):
            await rig.post(["fault+reset-taken@example.org", "fault+504-taken@example.org"], method="mandrill")
            await rig.until(seconds=7)
        assert len(fake.records.messages) == 2
    for index in (0, 1):
        types = await rig.types(index)
        assert types[0] == "uncertain"
        assert set(types[1:]) == {"sent"}


async def test_a_look_up_outlives_the_dispatcher_that_was_in_doubt(rig: Rig) -> None:
    async with Mandrill.serve(key="good") as fake:
        settings = {"mandrill_url": fake.url, "mandrill_key": "good", "uncertain_after": "30"}
        async with rig.dispatcher(**settings):
            await rig.post(["fault+reset-taken@example.org"], method="mandrill")
            await rig.until_types(0, "uncertain")
        async with rig.dispatcher(**settings):
            # A tenth of the wait, not the thirty seconds of the policy.
            await rig.until(seconds=10)
        assert len(fake.records.messages) == 1
    events = [(event.type, event.source) for event in await rig.events(0)]
    assert events[0] == ("uncertain", "us")
    assert set(events[1:]) == {("sent", "mandrill"), ("sent", "us")}


async def test_each_message_of_a_stream_goes_out_with_its_own_link(rig: Rig) -> None:
    links = UnsubscribeLinks(rig.environ["address_secret"])
    async with Mandrill.serve(key="good") as fake:
        settings = {"mandrill_url": fake.url, "mandrill_key": "good", "public_url": "https://mail.example.com"}
        async with rig.dispatcher(**settings):
            shared = await rig.post(
                ["a@example.org", "b@example.org"], method="mandrill", stream="newsletter", unsubscribe=True
            )
            await rig.until()
        sent = {message.metadata["reference"]: message.content["headers"] for message in fake.records.messages}
    assert len(sent) == 2
    for reference, headers in sent.items():
        url = headers["List-Unsubscribe"].strip("<>")
        link = links.read(url.removeprefix("https://mail.example.com/u/"))
        assert (link.company, link.stream, link.reference) == ("acme", shared.stream, reference)
        assert headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"


async def test_nothing_of_a_stream_goes_out_where_nobody_knows_the_public_url(rig: Rig) -> None:
    async with rig.dispatcher():
        await rig.post(["a@example.org"], stream="newsletter", unsubscribe=True)
        await rig.until()
    (event,) = await rig.events(0)
    assert (event.type, "MORPHEUS_PUBLIC_URL" in event.reason_text) == ("rejected", True)


async def test_a_group_with_faults_ends_with_each_message_taken_once(rig: Rig) -> None:
    faults = ["", "+503x1", "+429x1", "+error.GeneralErrorx1", "+error.ValidationError", "+rejected.hard-bounce"]
    addresses = [f"fault{faults[number % len(faults)]}+n{number}@example.org" for number in range(60)]
    async with Mandrill.serve(key="good") as fake:
        settings = {"mandrill_url": fake.url, "mandrill_key": "good", "retry_delays": "0.2,0.2,0.2"}
        async with rig.dispatcher(**settings):
            await rig.post(addresses, method="mandrill")
            await rig.until()
        taken = Counter(message.address for message in fake.records.messages if message.state != "rejected")
    assert set(taken.values()) == {1}
    assert len([address for address in taken if "Validation" not in address]) >= 40
