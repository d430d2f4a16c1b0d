from __future__ import annotations

from pathlib import Path

import pytest

from morpheus_kit.prices import SHIPPED, Cost, PriceError, micros_of, read_prices


@pytest.mark.parametrize(
    ("amount", "micros"),
    [("0.04", 40_000), ("0.000001", 1), ("12", 12_000_000), ("0.0000001", None), ("-1", None), ("1e3", None)],
)
def test_amounts_are_whole_millionths(amount: str, micros: int | None) -> None:
    assert micros_of(amount) == micros


def test_the_shipped_table() -> None:
    prices = read_prices()
    assert prices.of_sms("+447400123456", 3) == Cost(120_000, "EUR")
    assert prices.of_sms("+14155552671", 1) == Cost(8_000, "EUR")
    assert prices.of_sms("+881612345678", 1) == Cost(80_000, "EUR"), "no country: the default"
    assert prices.of_email("ses") == Cost(100, "EUR")
    assert prices.of_email("test") is None
    assert read_prices(SHIPPED) == prices


@pytest.mark.parametrize(
    ("table", "why"),
    [
        ('currency = "euro"', "currency"),
        ('currency = "EUR"\n[sms]\nGB = 0.04', "sms.GB"),
        ('currency = "EUR"\n[sms]\nUK = "0.04"', "no such country: UK"),
        ('currency = "EUR"\n[voice]\nGB = "0.04"', "no such key: voice"),
        ('currency = "EUR"\nsms = 1', "sms: a table"),
        ("not toml", "prices.toml"),
    ],
)
def test_a_table_with_a_fault_says_where(tmp_path: Path, table: str, why: str) -> None:
    path = tmp_path / "prices.toml"
    path.write_text(table)
    with pytest.raises(PriceError, match=why):
        read_prices(path)


def test_a_table_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(PriceError, match="No such file"):
        read_prices(tmp_path / "none.toml")
