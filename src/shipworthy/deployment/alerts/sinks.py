"""The built-in sinks: a webhook, Slack's kind of webhook, and mail. Only addresses that the owner named are called.

A sink is a function `(message, settings) -> None` that raises where the message did not arrive.
Source: RFC 2104, HMAC; RFC 5321 and 5322, mail; the draft of the IETF for the header Idempotency-Key.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import smtplib
import ssl
import time
from email.message import EmailMessage
from email.utils import formatdate
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

import msgspec

from shipworthy.core.settings.sinks import Sink
from shipworthy.deployment.alerts.message import Message
from shipworthy.errors import Misuse, StoreError
from shipworthy.marks import sink

SECONDS = 10.0


class _Stay(HTTPRedirectHandler):
    """A message goes where the owner said and nowhere else."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


@sink("webhook")
def webhook(message: Message, settings: Sink) -> None:
    """POST the message as JSON; signed by HMAC-SHA256 of time, a dot and the body if a secret is named."""
    body, at = msgspec.json.encode(message), str(int(time.time()))
    headers = {"Idempotency-Key": hashlib.sha256(message.id.encode()).hexdigest(), "X-Shipworthy-Event": message.event,
               "X-Shipworthy-Timestamp": at}
    if settings.secret:
        headers["X-Shipworthy-Signature"] = f"sha256={signature(body, at, environment(settings.secret, settings))}"
    _post(settings, body, headers)


@sink("slack")
def slack(message: Message, settings: Sink) -> None:
    """POST the message as a text, in the form of Slack's incoming webhooks; Mattermost and Teams take the same."""
    plain = f"*{message.title}*\n{message.text}"
    for letter, word in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        plain = plain.replace(letter, word)
    _post(settings, msgspec.json.encode({"text": plain}), {})


@sink("email")
def email(message: Message, settings: Sink) -> None:
    """Send the message as plain text, over TLS wherever the address says so."""
    made = EmailMessage()
    made["Subject"] = " ".join(message.title.split())[:200]
    made["From"], made["To"] = settings.sender, ", ".join(settings.to)
    made["Date"] = formatdate()
    made["Message-ID"] = f"<{hashlib.sha256(message.id.encode()).hexdigest()[:32]}@shipworthy>"
    made.set_content(message.text)
    place = urlsplit(address(settings))
    if place.scheme not in ("smtp", "smtps", "smtp+starttls") or not place.hostname:
        raise _wrong(settings, "smtp://host:25, smtps://host:465 or smtp+starttls://host:587")
    if not settings.to or not settings.sender:
        raise Misuse("a mail needs a sender and somebody to go to", where=f"[[sink]] {settings.called}",
                     hint='say sender = "…" and to = ["…"]')
    safe = ssl.create_default_context()
    port = place.port or {"smtp": 25, "smtps": 465}.get(place.scheme, 587)
    server = smtplib.SMTP_SSL(place.hostname, port, timeout=SECONDS, context=safe) if place.scheme == "smtps" else \
        smtplib.SMTP(place.hostname, port, timeout=SECONDS)
    with server:
        if place.scheme == "smtp+starttls":
            server.starttls(context=safe)
        if settings.user:
            server.login(settings.user, environment(settings.secret, settings))
        refused = server.send_message(made)
    if refused:
        raise StoreError(f"the mail server refused {', '.join(refused)}", where=place.hostname,
                         hint="correct `to` of the sink")


def signature(body: bytes, at: str, secret: str) -> str:
    """What a receiver computes too: HMAC-SHA256, in hex, of time, a dot and the body."""
    return hmac.new(secret.encode(), at.encode() + b"." + body, hashlib.sha256).hexdigest()


def address(settings: Sink) -> str:
    """The address of a sink, from the environment where it says so. Raises Misuse."""
    text = settings.address
    return environment(text[1:], settings) if text.startswith("$") else text


def environment(name: str, settings: Sink) -> str:
    """The value of an environment variable that a sink names. Raises Misuse where it is not set."""
    value = os.environ.get(name, "")
    if not value:
        raise Misuse(f"the environment variable {name or '(none named)'} is not set",
                     where=f"[[sink]] {settings.called}", hint=f"set {name or 'it'} where watching runs")
    return value


def _post(settings: Sink, body: bytes, headers: dict[str, str]) -> None:
    place = address(settings)
    if urlsplit(place).scheme not in ("http", "https"):
        raise _wrong(settings, "https://…")
    asked = Request(place, data=body, method="POST",
                    headers={"Content-Type": "application/json", "User-Agent": "shipworthy", **headers})
    try:
        with build_opener(_Stay).open(asked, timeout=SECONDS):
            return
    except HTTPError as error:
        with error:
            raise StoreError(f"it answered {error.code}", where=urlsplit(place).netloc,
                             hint="correct the address of the sink") from error


def _wrong(settings: Sink, form: str) -> Misuse:
    return Misuse("this is no address for such a sink", where=f"[[sink]] {settings.called}", hint=f"write it as {form}")
