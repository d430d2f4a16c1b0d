from pathlib import Path

import pytest

from local import __main__ as main


def test_port_and_home_come_from_the_environment() -> None:
    options = main.parse([], {"MORPHEUS_PORT": "8100", "MORPHEUS_HOME": "/data"})
    assert (options.port, options.home) == (8100, Path("/data"))


def test_arguments_win_over_the_environment() -> None:
    options = main.parse(["--port", "8200", "--home", "/other"], {"MORPHEUS_PORT": "x", "MORPHEUS_HOME": "/data"})
    assert (options.port, options.home) == (8200, Path("/other"))


def test_demo_has_a_home_and_a_port_of_its_own() -> None:
    options = main.parse(["--demo"], {"MORPHEUS_PORT": "8100", "MORPHEUS_HOME": "/data"})
    assert (options.port, options.home.name) == (None, ".morpheus-demo")


@pytest.mark.parametrize("port", ["0", "65536", "many"])
def test_impossible_port_is_refused_with_exit_2(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main.parse([], {"MORPHEUS_PORT": port})
    assert ended.value.code == 2
    assert port in capsys.readouterr().err


def test_home_belongs_to_one_stack_at_a_time(tmp_path: Path) -> None:
    with main.locked(tmp_path) as first, main.locked(tmp_path) as second:
        assert (first, second) == (True, False)
    with main.locked(tmp_path) as third:
        assert third
