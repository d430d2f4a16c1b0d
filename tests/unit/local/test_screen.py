import pytest

from local.screen import readable


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (
            '{"event": "message_sent", "attempt": 2, "level": "info", "timestamp": "2026-11-24T07:01:42Z"}',
            "07:01:42 message_sent attempt=2",
        ),
        ('{"event": "store_failed", "level": "error", "service": "tracker"}', "ERROR store_failed"),
        ("Traceback (most recent call last):", "Traceback (most recent call last):"),
        ("{not json", "{not json"),
        ('{"no": "event"}', '{"no": "event"}'),
    ],
)
def test_log_lines_are_readable_and_others_left_alone(line: str, shown: str) -> None:
    assert readable(line) == shown
