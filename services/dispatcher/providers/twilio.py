"""SMS through Twilio: `Messages.json`, one call for each message, none repeated. It has no idempotency key."""

from __future__ import annotations

from base64 import b64encode
from ipaddress import ip_address
from urllib.parse import quote, urlencode, urlsplit

from services.dispatcher.providers.base import Form, Outgoing
from services.dispatcher.providers.http_call import HttpProvider
from services.dispatcher.providers.twilio_verdicts import verdict_of
from services.dispatcher.verdicts import Verdict

DEFAULT_URL = "https://api.twilio.com"
_WEBHOOK = "/webhooks/twilio"


class TwilioProvider(HttpProvider):
    """One account."""

    name = "twilio"
    form: Form = "mime"

    def __init__(
        self,
        account_sid: str,
        auth_token: str,
        *,
        url: str = "",
        public_url: str = "",
        connections: int,
        timeout: float,
    ) -> None:
        """`url`: host only; `public_url`: where it tells what became of a message; `timeout`: seconds for a call."""
        credentials = b64encode(f"{account_sid}:{auth_token}".encode()).decode()
        headers = {
            "Authorization": f"Basic {credentials}",
            "Content-Type": "application/x-www-form-urlencoded",
            "Accept": "application/json",
            "User-Agent": "Morpheus",
        }
        super().__init__(headers, connections=connections, timeout=timeout)
        host = url or DEFAULT_URL
        self._url = f"{host.rstrip('/')}/2010-04-01/Accounts/{quote(account_sid, safe='')}/Messages.json"
        self._callback = f"{public_url.rstrip('/')}{_WEBHOOK}" if _can_reach(host, public_url) else ""

    async def _send(self, message: Outgoing) -> Verdict:
        form = {"To": message.address, "From": message.sender, "Body": message.payload.decode()}
        if self._callback:
            # It echoes nothing but this address, so the reference travels in it.
            form["StatusCallback"] = f"{self._callback}?ref={message.reference}"
        answer = await self._calls.post(self._url, urlencode(form).encode())
        return answer if isinstance(answer, Verdict) else verdict_of(answer.status, answer.body, answer.retry_after)


def _can_reach(host: str, public_url: str) -> bool:
    """Twilio refuses a message with a callback that it cannot reach; a fake on this machine reaches this machine."""
    return bool(public_url) and (not _is_loopback(public_url) or _is_loopback(host))


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
