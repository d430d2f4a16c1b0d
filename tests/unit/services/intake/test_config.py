import pytest

from morpheus_kit.config import ConfigError
from services.intake.config import Config


def test_methods_are_required() -> None:
    with pytest.raises(ConfigError, match="MORPHEUS_METHODS"):
        Config.load({})


def test_methods_that_do_not_exist_are_refused() -> None:
    with pytest.raises(ConfigError, match="MORPHEUS_METHODS"):
        Config.load({"MORPHEUS_METHODS": "test,fax"})


@pytest.mark.parametrize(
    ("methods", "route", "resolved"),
    [
        ("test,smtp,email", "", ("smtp",)),
        ("smtp,mandrill,ses,email", "", ("ses", "mandrill", "smtp")),
        ("test,email", "", ()),
        ("email", "smtp,ses", ("smtp", "ses")),
    ],
)
def test_what_email_goes_to(methods: str, route: str, resolved: tuple[str, ...]) -> None:
    config = Config.load({"MORPHEUS_METHODS": methods, "MORPHEUS_EMAIL_ROUTE": route})
    assert config.email_route == resolved
