"""`shipworthy token`: make, list, rotate and revoke API tokens; the token alone goes to stdout, once."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from shipworthy.cli.talk import json_option, project_option, put, say
from shipworthy.deployment.integration.access import issue
from shipworthy.deployment.integration.access.budgets import spent
from shipworthy.deployment.integration.access.tokens import SCOPES, Token, now, read_access
from shipworthy.deployment.integration.releases import history
from shipworthy.store.workspace import open_workspace

by_option = click.option("--by", required=True, help="Who does it; it is on record.")
why_option = click.option("--why", default="", help="Why; it is on record.")
days_option = click.option("--days", default=issue.DAYS, show_default=True, type=int,
                           help="Days until it ends; at most a year.")


@click.group()
def command() -> None:
    """Say who may ask a server, for what, and how much; a change holds from the next request in every process."""


@command.command()
@project_option
@click.option("--holder", required=True, help="Who will hold it: acts are recorded under this name.")
@click.option("--scope", "scopes", required=True, multiple=True, help=f"{', '.join(SCOPES)}; may be given again.")
@by_option
@why_option
@days_option
@click.option("--rows-a-minute", default=None, type=int, help="Its budget in any sixty seconds, else that of [serve]; "
              "0 is without limit.")
@click.option("--rows-a-day", default=None, type=int, help="Its budget a day (UTC), else that of [serve]; 0 is without "
              "limit.")
@json_option
def create(
    folder: Path, *, holder: str, scopes: tuple[str, ...], by: str, why: str, days: int, rows_a_minute: int | None,
    rows_a_day: int | None, as_json: bool,
) -> None:
    """Make a token and print it. It is shown this once: what is kept of it cannot be turned back into it."""
    secret, token = issue.create(open_workspace(folder).store, holder, scopes, by=by, why=why, days=days,
                                 rows_a_minute=rows_a_minute, rows_a_day=rows_a_day)
    _show(secret, token, as_json)


@command.command("list")
@project_option
@json_option
def list_tokens(folder: Path, as_json: bool) -> None:
    """Show every token there ever was, and what it may and did ask for; never the token itself."""
    home = open_workspace(folder).store.home
    told = [_told(token) | dict(zip(("rows_minute", "rows_today"), spent(home, token.place, time.time()), strict=True))
            for token in read_access(home)[0].tokens]
    if as_json:
        put(told)
        return
    for one in told:
        click.echo(f"{one['id']}  {one['state']:<7}  until {one['until'][:10]}  {' '.join(one['scopes'])}  "
                   f"{one['rows_today']:,} rows today{_budget(one)}  {one['holder']}")
    if not told:
        say("there is no token; make one: shipworthy token create --holder NAME --scope predict --by NAME")


@command.command()
@click.argument("token_id", metavar="ID")
@project_option
@by_option
@why_option
@days_option
@click.option("--grace-hours", default=issue.GRACE_HOURS, show_default=True, type=float,
              help="Hours for which the present token is taken too; 0 ends it at once.")
@json_option
def rotate(
    token_id: str, folder: Path, *, by: str, why: str, days: int, grace_hours: float, as_json: bool
) -> None:
    """Put a new secret in the place of the present one and print it; id, holder, scopes and budget stay."""
    secret, token = issue.rotate(open_workspace(folder).store, token_id, by=by, why=why, days=days,
                                 grace_hours=grace_hours)
    _show(secret, token, as_json)


@command.command()
@click.argument("token_id", metavar="ID")
@project_option
@by_option
@click.option("--why", required=True, help="Why; it is on record.")
def revoke(token_id: str, folder: Path, *, by: str, why: str) -> None:
    """Take a token away for good: no server takes it from its next request on."""
    store = open_workspace(folder).store
    token = issue.revoke(store, token_id, by=by, why=why)
    say(f"token {token.id} of {token.holder} is revoked; no server takes it any more")
    if not history.can_sign(store):
        say("that is not on record here: this copy has no key to sign the ledger")


def _show(secret: str, token: Token, as_json: bool) -> None:
    if as_json:
        put({"token": secret, **_told(token)})
    else:
        click.echo(secret)
    before = f"; the one before is taken until {token.earlier_until:%Y-%m-%d %H:%M} UTC" if token.earlier_until else ""
    say(f"token {token.id} of {token.holder} may {', '.join(token.scopes)} until {token.until:%Y-%m-%d}{before}")
    say("it is shown this once; send it as: Authorization: Bearer TOKEN")


def _told(token: Token) -> dict[str, Any]:
    """What may be shown of a token: no secret, and no hash of one."""
    return {"id": token.id, "holder": token.holder, "scopes": list(token.scopes), "state": token.state(now()),
            "made": token.made.isoformat(timespec="seconds"), "until": token.until.isoformat(timespec="seconds"),
            "earlier_until": token.earlier_until.isoformat(timespec="seconds") if token.earlier_until else None,
            "rows_a_minute": token.rows_a_minute, "rows_a_day": token.rows_a_day}


def _budget(told: dict[str, Any]) -> str:
    limits = [f"{told[key]:,} a {unit}" for key, unit in (("rows_a_minute", "minute"), ("rows_a_day", "day"))
              if told[key]]
    return f" of at most {', '.join(limits)}" if limits else ""
