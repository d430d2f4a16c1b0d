"""An email as the fields of an API that composes by itself (Mandrill's `message`), JSON, one writer for each group."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from typing import Any

import msgspec

from morpheus_kit.ids import group_key
from morpheus_kit.queue.schema import SharedInfo
from services.dispatcher import headers
from services.dispatcher.mime import OWN_HEADERS, Attached, unsubscribe_headers

_MAX_TAG = 50
_encode = msgspec.json.Encoder().encode


class FieldsComposer:
    """Writes the `message` of one group's emails."""

    def __init__(self, shared: SharedInfo) -> None:
        """AddressError when the group's own addresses cannot be written."""
        name, address = headers.split_mailbox(shared.from_address)
        self._sender = headers.address_on_the_wire(address)
        self._domain = self._sender.rpartition("@")[2]
        self._reference_prefix = shared.reference_prefix
        own = {name: headers.clean(value) for name, value in shared.headers.items() if name.lower() not in OWN_HEADERS}
        if shared.reply_to:
            own["Reply-To"] = headers.mailbox(*headers.split_mailbox(shared.reply_to)).decode()
        if shared.stream == "transactional":
            own["Auto-Submitted"] = "auto-generated"
        key = group_key(shared.company_code, shared.group_id)
        own["Feedback-ID"] = f"{key}:{shared.company_code}:{shared.stream}:morpheus"
        self._headers = own
        self._shared: dict[str, Any] = {
            "from_email": self._sender,
            "from_name": headers.clean(name),
            # Nothing of the message is rewritten: it is rendered, inlined and translated into text already.
            "merge": False,
            "auto_text": False,
            "auto_html": False,
            "inline_css": False,
            "view_content_link": False,
            "preserve_recipients": False,
            # Recipient tags are unique to a person; the API keeps few tags, and reserves those with an underscore.
            "tags": [tag for tag in shared.tags if len(tag) <= _MAX_TAG and not tag.startswith("_")],
        }
        if shared.subaccount:
            self._shared["subaccount"] = shared.subaccount

    def compose(  # noqa: PLR0913  the parts of an email
        self,
        message: str,
        name: str,
        address: str,
        *,
        subject: str,
        text: str,
        html: str,
        attachments: Sequence[Attached] = (),
        unsubscribe_url: str = "",
    ) -> bytes:
        """The `message` of a call. `message` is our id; `address` as on the wire."""
        reference = f"{self._reference_prefix}-{message}"
        fields = {
            **self._shared,
            "to": [{"email": address, "name": headers.clean(name), "type": "to"}],
            "subject": headers.clean(subject),
            "html": html,
            "text": text,
            "headers": {
                **self._headers,
                "Message-ID": f"<{message}@{self._domain}>",
                "X-Morpheus-Ref": reference,
                **unsubscribe_headers(unsubscribe_url),
            },
            # At most 200 bytes; the reference leads to everything else.
            "metadata": {"reference": reference},
        }
        if attachments:
            fields["attachments"] = [
                {
                    "type": each.content_type,
                    "name": headers.clean(each.name),
                    "content": b64encode(each.content).decode(),
                }
                for each in attachments
            ]
        return _encode(fields)
