"""The forms of faults in addresses and orders."""

from __future__ import annotations

import pytest

from fakes.faults import Fault, FaultBook, faults_of, parse_fault


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("429", Fault("429")),
        ("429.30", Fault("429", "30")),
        ("503x2", Fault("503", times=2)),
        ("504-taken", Fault("504", taken=True)),
        ("hang", Fault("hang")),
        ("hang-taken", Fault("hang", taken=True)),
        ("Reset-Takenx1", Fault("reset", times=1, taken=True)),
        ("error.MessageRejected", Fault("error", "MessageRejected")),
        ("error.550x1", Fault("error", "550", times=1)),
        ("rejected.hard-bounce", Fault("rejected", "hard-bounce")),
        ("latency.250", Fault("latency", "250")),
        ("soft-bounced", Fault("soft-bounced")),
        ("early", Fault("early")),
        ("delivered-taken", None),
        ("n429", None),
        ("200", None),
        ("", None),
    ],
)
def test_fault_is_read_from_its_form(text: str, fault: Fault | None) -> None:
    assert parse_fault(text) == fault


@pytest.mark.parametrize(
    ("address", "names"),
    [
        ("fault+429@example.com", ["429"]),
        ("FAULT+bounced+early+n17@example.com", ["bounced", "early"]),
        ("default+429@example.com", []),
        ("someone@example.com", []),
        ("+447700900503", ["503"]),
        ("+447700900111", ["hang-taken"]),
        ("+447700900000", []),
        ("+447911123456", []),
    ],
)
def test_address_asks_for_faults(address: str, names: list[str]) -> None:
    assert [str(fault) for fault in faults_of(address)] == names


def test_limited_fault_ends_for_each_address_by_itself() -> None:
    book = FaultBook()
    answers = [book.plan([f"fault+503x2+n{n}@example.com"]).answer for n in (1, 1, 2, 1, 2, 2)]
    assert [answer is not None for answer in answers] == [True, True, True, False, True, False]


def test_order_holds_for_what_matches_and_ends_after_its_times() -> None:
    book = FaultBook()
    order = book.order("*@slow.example", "latency.500", times=2)
    assert book.plan(["a@fast.example"]).latency_s == 0
    assert [book.plan(["A@Slow.example"]).latency_s for _ in range(3)] == [0.5, 0.5, 0]
    assert order.as_json() == {"id": 1, "match": "*@slow.example", "fault": "latency.500", "left": 0}


def test_order_that_is_no_fault_is_refused() -> None:
    with pytest.raises(ValueError, match="no fault"):
        FaultBook().order("*", "explode")


def test_one_plan_holds_the_faults_of_every_recipient() -> None:
    book = FaultBook()
    addresses = ["fault+latency.100+early@x.example", "fault+latency.200+bounced@x.example", "fault+invalid@x.example"]
    plan = book.plan(addresses)
    assert plan.latency_s == pytest.approx(0.3)
    assert plan.early == {addresses[0]}
    assert plan.steps(addresses[1]) == ("sent", "bounced")
    assert plan.steps(addresses[0]) == ("sent", "delivered")
    assert set(plan.recipients) == {addresses[2]}


def test_cleared_book_begins_again() -> None:
    book = FaultBook()
    book.order("*", "500")
    assert book.plan(["fault+503x1@x.example"]).answer == Fault("500")
    book.clear()
    answer = book.plan(["fault+503x1@x.example"]).answer
    assert answer == Fault("503", times=1)
