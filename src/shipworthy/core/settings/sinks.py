"""Who is told of an incident, and what is done about it."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from shipworthy.core.settings.part import Part

Step = Literal["roll back", "renew", "silence", "open ticket"]
FAMILIES = ("broken", "harm", "drift", "joint", "bias", "outliers")  # of alarms, beside "meter NAME"


class Sink(Part, frozen=True):
    """[[sink]] Where incidents are sent. Nothing is sent anywhere that is not named here.

    name: of its own; by default its kind. kind: webhook (JSON), slack (a text, for whatever takes Slack's webhooks),
    email, or a function that a plugin marks with @sink. address: https://…, or smtp://host:25, smtps://host:465 and
    smtp+starttls://host:587 for mail; "$NAME" is read from the environment variable NAME, for an address that is itself
    a secret. secret: name of the environment variable that holds the key of a webhook's signature, or the password of
    a mail server. user: of the mail server. sender, to: of a mail. severity: the least that is sent; high is harm and
    broken input. families: of alarms that are sent; all, if empty. tickets: whether a runbook's tickets go here.
    """

    kind: str
    name: str = ""
    address: str = ""
    secret: str = ""
    user: str = ""
    sender: str = ""
    to: tuple[str, ...] = ()
    severity: Literal["medium", "high"] = "medium"
    families: tuple[str, ...] = ()
    tickets: bool = True

    @property
    def called(self) -> str:
        """Its name; its kind where it has none."""
        return self.name or self.kind


class Runbook(Part, frozen=True):
    """[[runbook]] What is to be done about alarms of a family.

    family: broken, drift, joint, harm, bias, outliers, or "meter NAME". step: what is suggested with the incident.
    automatic: whether it is done without asking; a renewal then makes a candidate, which somebody promotes. most_a_day:
    of this step, of all incidents together. days: how long a silence lasts. link: address of a page of your own.
    """

    family: str
    step: Step
    automatic: bool = False
    most_a_day: Annotated[int, msgspec.Meta(ge=0)] = 1
    days: Annotated[float, msgspec.Meta(gt=0)] = 1.0
    link: str = ""


class Metered(Part, frozen=True):
    """[[meter]] Limits of a figure that a plugin counts with @meter.

    name: of its mark. at_most, at_least: what the figure may be, in its own unit; beyond it an alarm is raised by the
    rules and within the budget of all others. A meter without limits is only shown.
    """

    name: str
    at_most: float | None = None
    at_least: float | None = None
