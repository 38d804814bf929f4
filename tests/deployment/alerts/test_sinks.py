"""Who is told, how, and that nobody else is."""

from __future__ import annotations

from email import message_from_string
from email.policy import default
from typing import Any

import msgspec
import pytest

from shipworthy.core.project import Sink
from shipworthy.deployment.alerts.message import Message, events, message, trial, wanted
from shipworthy.deployment.alerts.sinks import email, signature, slack, webhook
from shipworthy.deployment.monitoring.incident import Incident
from shipworthy.errors import Misuse, StoreError


def test_a_webhook_is_json_signed_by_the_named_secret(
    web: Any, incident: Incident, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOK_KEY", "s3cret")
    made = message("opened", incident, "loans")
    webhook(made, Sink("webhook", address=f"http://127.0.0.1:{web.port}/hook", secret="HOOK_KEY"))
    ((path, headers, body),) = web.posts
    assert path == "/hook" and msgspec.json.decode(body, type=Message) == made
    told = signature(body, headers["X-Shipworthy-Timestamp"], "s3cret")
    assert headers["X-Shipworthy-Signature"] == f"sha256={told}"
    assert signature(body + b" ", headers["X-Shipworthy-Timestamp"], "s3cret") != told


def test_the_same_message_has_the_same_key_so_a_second_delivery_can_be_dropped(web: Any, incident: Incident) -> None:
    sink = Sink("webhook", address=f"http://127.0.0.1:{web.port}")
    for event in ("opened", "opened", "closed"):
        webhook(message(event, incident, "loans"), sink)
    keys = [headers["Idempotency-Key"] for _, headers, _ in web.posts]
    assert keys[0] == keys[1] != keys[2]
    assert "X-Shipworthy-Signature" not in web.posts[0][1]


def test_slack_s_form_is_one_text_with_its_marks_escaped(web: Any, incident: Incident) -> None:
    odd = msgspec.structs.replace(incident, sentence="Broken input in <!channel> & more; harm: unknown.")
    slack(message("opened", odd, "loans"), Sink("slack", address=f"http://127.0.0.1:{web.port}/services/T"))
    text = msgspec.json.decode(web.posts[0][2])["text"]
    assert text.startswith("*PAGE loans: Broken input in &lt;!channel&gt; &amp; more*") and "<!" not in text


def test_an_address_may_come_from_the_environment(
    web: Any, incident: Incident, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = Sink("slack", address="$SLACK_HOOK")
    with pytest.raises(Misuse, match="SLACK_HOOK is not set"):
        slack(message("opened", incident, "loans"), sink)
    monkeypatch.setenv("SLACK_HOOK", f"http://127.0.0.1:{web.port}/secret")
    slack(message("opened", incident, "loans"), sink)
    assert web.posts[0][0] == "/secret"


def test_a_redirect_is_not_followed(web: Any, incident: Incident) -> None:
    web.answer, web.location = 302, f"http://127.0.0.1:{web.port}/elsewhere"
    with pytest.raises(StoreError, match="it answered 302"):
        webhook(message("opened", incident, "loans"), Sink("webhook", address=f"http://127.0.0.1:{web.port}/a"))
    assert [path for path, _, _ in web.posts] == ["/a"]


def test_a_refusal_is_an_error_with_its_number(web: Any, incident: Incident) -> None:
    web.answer = 403
    with pytest.raises(StoreError, match="it answered 403"):
        webhook(message("opened", incident, "loans"), Sink("webhook", address=f"http://127.0.0.1:{web.port}"))


@pytest.mark.parametrize("address", ["ftp://host/x", "file:///etc/passwd", "smtp://host"])
def test_only_http_is_posted_to(address: str, incident: Incident) -> None:
    with pytest.raises(Misuse, match="no address for such a sink"):
        webhook(message("opened", incident, "loans"), Sink("webhook", address=address))


def test_a_mail_says_it_all_to_everybody_named(mail: Any, incident: Incident) -> None:
    sink = Sink("email", address=f"smtp://127.0.0.1:{mail.port}", sender="watch@example.org",
                to=("ann@example.org", "ben@example.org"))
    odd = msgspec.structs.replace(incident, sentence="The model\r\nBcc: x@example.org does harm; harm: yes.")
    email(message("opened", odd, "Kredite für alle"), sink)
    ((sender, to, text),) = mail.mails
    assert (sender, to) == ("watch@example.org", ("ann@example.org", "ben@example.org"))
    made = message_from_string(text, policy=default)
    assert made["Subject"] == "PAGE Kredite für alle: The model Bcc: x@example.org does harm"
    assert made["Bcc"] is None and "then renew" in made.get_content()


def test_a_mail_without_anybody_to_go_to_is_refused(incident: Incident) -> None:
    with pytest.raises(Misuse, match="a sender and somebody"):
        email(message("opened", incident, "loans"), Sink("email", address="smtp://127.0.0.1:1", sender="a@b.c"))


def test_a_sink_is_told_of_what_it_wants_and_no_more(incident: Incident) -> None:
    medium = message("opened", msgspec.structs.replace(incident, severity="medium", families=("drift",)), "loans")
    high = message("opened", incident, "loans")
    assert [wanted(Sink("a"), one) for one in (medium, high)] == [True, True]
    assert [wanted(Sink("a", severity="high"), one) for one in (medium, high)] == [False, True]
    assert [wanted(Sink("a", families=("drift",)), one) for one in (medium, high)] == [True, False]
    assert not wanted(Sink("a", tickets=False), message("ticket", incident, "loans"))
    assert wanted(Sink("a", severity="high", families=("bias",)), trial("loans", "now"))


def test_an_incident_is_told_when_it_opens_grows_graver_and_ends(incident: Incident) -> None:
    mild = msgspec.structs.replace(incident, severity="medium", families=("drift",))
    other = msgspec.structs.replace(incident, id="another")

    def said(*facts: Any) -> list[tuple[str, str]]:
        return [(one.event, one.incident.id) for one in events(*facts, "loans") if one.incident]

    assert said(None, (mild,), mild) == [("opened", mild.id)]
    assert said(mild, (), mild) == []
    assert said(mild, (), incident) == [("graver", mild.id)]
    assert said(mild, (), None) == [("closed", mild.id)]
    assert said(mild, (other,), other) == [("closed", mild.id), ("opened", "another")]
    assert said(None, (mild,), None) == [("opened", mild.id), ("closed", mild.id)]
