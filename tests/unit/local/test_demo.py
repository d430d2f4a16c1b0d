import base64
import hashlib
import hmac

from local import demo


def test_group_has_200_recipients_and_an_invoice_for_each_tenth() -> None:
    recipients = demo.group("g", pdf=True)["recipients"]
    assert len(recipients) == 200
    assert [index for index, one in enumerate(recipients) if "pdf_attachments" in one] == list(range(0, 200, 10))
    assert len({one["address"] for one in recipients}) == 200


def test_without_pdf_no_invoice_is_promised() -> None:
    recipients = demo.group("g", pdf=False)["recipients"]
    assert not any("pdf_attachments" in one or one["context"]["has_invoice"] for one in recipients)


def test_simulated_addresses_leave_out_the_one_that_never_ends() -> None:
    assert "down" not in demo.SIMULATED


def test_signature_covers_method_path_and_body() -> None:
    key = bytes(range(32))
    headers = demo.sign("whsec_" + base64.b64encode(key).decode(), "/v1/groups", b"\x80", 1_700_000_000.9)
    digest = hashlib.sha256(b"\x80").hexdigest()
    text = f"{headers['webhook-id']}.1700000000.POST /v1/groups {digest}"
    expected = base64.b64encode(hmac.digest(key, text.encode(), "sha256")).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
