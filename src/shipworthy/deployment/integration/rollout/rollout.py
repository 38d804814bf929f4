"""A rollout: started by a person, moved stage by stage by what traffic shows, ended by promotion or with the champion.

The ledger holds all of it: the line that started it carries the plan, and each later line a move. So nothing else need
survive a kill; what the servers are told (`serving.json`) follows from the ledger and is put right at every step.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Literal

import msgspec

from shipworthy.core.canon import canonical, digest
from shipworthy.core.clock import HOUR, MINUTE
from shipworthy.core.evidence import Finding
from shipworthy.core.ledger import Line, moves
from shipworthy.core.model import Model
from shipworthy.core.release import Release
from shipworthy.core.settings.deployment import Rollout
from shipworthy.deployment.integration.releases import history
from shipworthy.deployment.integration.releases.book import held
from shipworthy.deployment.integration.releases.declared import declared
from shipworthy.deployment.integration.rollout.guardrails import guardrails, values
from shipworthy.deployment.integration.rollout.traffic import Arms, Traffic, answered, arms
from shipworthy.deployment.integration.serving.record import Shape
from shipworthy.deployment.integration.serving.standing import Mode, Stand, Standing, read_standing, write_standing
from shipworthy.errors import BadRelease, Misuse, NotFit, one_of

START, ADVANCE, DONE = "rollout start", "rollout advance", "rollout done"
ENDS = {"back": "rollout back", "timeout": "rollout timeout", "stop": "rollout stop"}
OVERTAKEN = "rollout overtaken"
PRESENT = 0.01
FOLDER = "rollouts"
Action = Literal["advance", "hold", "back", "timeout", "stop", "done", "none"]


class Rolling(msgspec.Struct, frozen=True):
    """A rollout as the ledger has it. id: also the salt of its assignment. stage: place in `stages(plan)`.

    started, since: microseconds since 1970 UTC, of the rollout and of its stage. ended: what ended it, or empty.
    """

    id: str
    champion: Stand
    challenger: Stand
    by: str
    why: str
    plan: Rollout
    started: int
    since: int
    stage: int = 0
    ended: str = ""
    reason: str = ""

    @property
    def shares(self) -> tuple[float, ...]:
        """The shares that the servers were told since it began."""
        return tuple(share for _, share in stages(self.plan)[: self.stage + 1])


class Decision(msgspec.Struct, frozen=True):
    """What a look came to. stage, mode, share: those from now on. findings: of every guardrail."""

    action: Action
    reason: str
    stage: int = 0
    mode: Mode = "alone"
    share: float = 0.0
    findings: tuple[Finding, ...] = ()


def stages(plan: Rollout) -> tuple[tuple[Mode, float], ...]:
    """Mode and share of every stage, in order. Raises Misuse when the shares do not rise to 1."""
    rising = all(0 < low < high for low, high in zip(plan.stages, plan.stages[1:], strict=False))
    if not plan.stages or not rising or not 0 < plan.stages[0] <= 1 or plan.stages[-1] != 1:
        raise Misuse(f"the stages {list(plan.stages)} do not rise to 1", where="[rollout] stages",
                     hint="such as stages = [0.01, 0.05, 0.25, 0.5, 1.0]")
    shadow: tuple[tuple[Mode, float], ...] = (("shadow", 0.0),) if plan.shadow else ()
    return (*shadow, *(("canary", share) for share in plan.stages))


def start(store: history.Home, challenger: Release, *, by: str, why: str, plan: Rollout, now: int) -> Rolling:
    """A rollout that has begun, in its first stage. challenger: with the waivers and the gate of today.

    by: who answers for it, and promotes in the end. now: microseconds since 1970 UTC. Raises what `history.promote`
    would; Misuse while another is under way or nothing is in production; NotFit when the challenger does not take the
    champion's requests.
    """
    stages(plan)
    with _locked(store):
        history.may_promote(store, challenger, by=by, why=why)
        known = rolling(store)
        if known is not None and not known.ended:
            raise Misuse(f"a rollout of {known.challenger.release[:12]} is under way", where="the ledger",
                         hint="wait for its end, or: shipworthy rollout stop --by NAME --why REASON")
        champion = history.in_production(store)
        if champion.id == challenger.id:
            raise Misuse(f"{challenger.short} is the champion already", where=str(challenger.folder),
                         hint="name another release")
        _compatible(champion.model, challenger.model)
        _sent(champion, (*plan.unit, *plan.segments))
        stand = _stood(store)
        subject = {"alias": "challenger", "rollout": secrets.token_hex(16), "release": challenger.id,
                   "folder": history.relative(store, challenger.folder), "champion": stand.release,
                   "champion_folder": stand.folder, "plan": canonical(plan).decode(), "at": str(now)}
        line = history.record(store, actor=by, role="approver", action=START, subject=subject,
                              evidence=challenger.evidence.digest, why=why)
        history.challenge(store, challenger, by=by, why=why)
        begun = _begun(line)
        _tell(store, begun)
    return begun


def step(
    store: history.Home, traffic: Callable[[Rolling], Traffic], *, promote: Callable[[Rolling, str], object], now: int
) -> Decision:
    """One look: what it came to, done. Safe to call at any time, from several processes, and after a kill.

    traffic: what was served and came true since the rollout began. promote: makes the challenger the champion by the
    gate of that day, in the name of who started the rollout. A log that cannot be read raises and moves nothing.
    """
    with _locked(store):
        known = rolling(store)
        if known is not None and known.ended == OVERTAKEN:
            return _end(store, known, Decision("stop", known.reason), ENDS["stop"], now)
        if known is None or known.ended:
            if known is not None:
                _tell(store, known)
            return Decision("none", "no rollout is under way")
        stand = _stood(store)
        if stand.release == known.challenger.release:
            return _end(store, known, Decision("done", "it is the champion"), DONE, now)
        if stand.release != known.champion.release:
            return _end(store, known, Decision("stop", "somebody moved the champion"), ENDS["stop"], now)
        _tell(store, known)
        found = look(known, traffic, now=now)
        if found.action in ENDS:
            return _end(store, known, found, ENDS[found.action], now)
        if found.action == "advance":
            _move(store, known, found, ADVANCE, now)
        if found.action == "done":
            try:
                promote(known, found.reason)
            except (NotFit, BadRelease) as error:
                refused = msgspec.structs.replace(found, action="back", reason=f"it may not be promoted: {error}")
                return _end(store, known, refused, ENDS["back"], now)
            return _end(store, known, found, DONE, now)
        return found


def look(known: Rolling, traffic: Callable[[Rolling], Traffic], *, now: int) -> Decision:
    """What a step would come to; nothing is moved."""
    plan, all_stages = known.plan, stages(known.plan)
    mode, share = all_stages[known.stage]
    stays = Decision("hold", "", known.stage, mode, share)
    if now - known.started > plan.hours * HOUR:
        return msgspec.structs.replace(stays, action="timeout", reason=f"{plan.hours:g} hours are over, undecided")
    seen = arms(traffic(known), champion=known.champion.release, challenger=known.challenger.release,
                since=known.started, unit=plan.unit, shares=known.shares, now=now)
    findings = guardrails(seen, plan, shares=known.shares)
    stays = msgspec.structs.replace(stays, findings=findings)
    failed = [finding for finding in findings if finding.verdict == "fail"]
    if failed:
        reason = f"{failed[0].check.removeprefix('rollout-')}: {failed[0].sentence}"
        return msgspec.structs.replace(stays, action="back", reason=reason)
    last = known.stage + 1 == len(all_stages)
    lacking = [*_lacking(known, seen, now), *(_lacking_at_last(plan, seen, findings) if last else ())]
    if lacking:
        return msgspec.structs.replace(stays, reason="; ".join(lacking))
    if last:
        return msgspec.structs.replace(stays, action="done", reason=f"{_found(findings)} through every stage")
    mode, share = all_stages[known.stage + 1]
    where = f"at {all_stages[known.stage][1]:.0%}" if known.shares[-1] else "in the shadow"
    return Decision("advance", f"{_found(findings)} {where}", known.stage + 1, mode, share, findings)


def _found(findings: Sequence[Finding]) -> str:
    """What guardrails of which none failed came to, in words."""
    unsure = sum(finding.verdict == "unknown" for finding in findings)
    return f"no guardrail found harm{f', and {unsure} could not say yet,' if unsure else ''}"


def stop(store: history.Home, *, by: str, why: str, now: int) -> Rolling:
    """The rollout, ended by a person; the champion answers everything. Raises Misuse when none is under way."""
    if not by.strip() or not why.strip():
        raise Misuse("a rollout is stopped only with a name and a reason", where="stop", hint="say --by and --why")
    with _locked(store):
        known = rolling(store)
        if known is None or known.ended:
            raise Misuse("no rollout is under way", where="the ledger", hint="see: shipworthy rollout status")
        _end(store, known, Decision("stop", why), ENDS["stop"], now, actor=by)
        return msgspec.structs.replace(known, ended=ENDS["stop"], reason=why)


def rolling(store: history.Home) -> Rolling | None:
    """The newest rollout on record, under way or ended; None before the first. Raises StoreError."""
    found: Rolling | None = None
    for line in history.unbroken(store):
        subject = line["subject"]
        if line["action"] == START:
            found = _begun(line)
        elif found is not None and not found.ended and _overtakes(line, found):
            found = msgspec.structs.replace(found, ended=OVERTAKEN, reason=f"{line['actor']} moved the champion")
        elif found is not None and subject.get("rollout") == found.id:
            if line["action"] == ADVANCE:
                found = msgspec.structs.replace(found, stage=int(subject["stage"]), since=int(subject["at"]))
            else:
                found = msgspec.structs.replace(found, ended=line["action"], reason=line["why"])
    return found


def _overtakes(line: Line, known: Rolling) -> bool:
    """Whether somebody made another release the champion than the rollout would."""
    subject = line["subject"]
    moved = line["action"] in ("promote", "rollback") and subject.get("alias") == history.CHAMPION
    return moved and subject.get("release") != known.challenger.release


def _begun(line: Line) -> Rolling:
    subject = line["subject"]
    at = int(subject["at"])
    return Rolling(subject["rollout"], Stand(subject["champion"], subject["champion_folder"]),
                   Stand(subject["release"], subject["folder"]), line["actor"], line["why"],
                   msgspec.json.decode(subject["plan"], type=Rollout), at, at)


def _lacking(known: Rolling, seen: Arms, now: int) -> list[str]:
    """What a stage still waits for."""
    plan, found = known.plan, []
    minutes, rows = (now - known.since) / MINUTE, answered(seen, known.since)
    if minutes < plan.minutes:
        found.append(f"{minutes:.0f} of {plan.minutes:g} minutes")
    if rows < plan.rows:
        found.append(f"{rows:,} of {plan.rows:,} rows")
    if known.shares[-1] and not any(each.arm == "challenger" for each in seen.newest):
        found.append("a whole minute of requests to the challenger that the servers counted")
    return found


def _lacking_at_last(plan: Rollout, seen: Arms, findings: tuple[Finding, ...]) -> list[str]:
    """What promotion waits for beyond a stage's minutes and rows."""
    found = []
    for column in plan.segments:
        words = [str(word) for table in seen.tried if table.rows for word in table.words(column)]
        usual = [str(word) for word in seen.champion.words(column)]
        for value in values(seen.champion, column):
            if usual.count(value) >= PRESENT * len(usual) and words.count(value) < plan.segment_rows:
                found.append(f"{words.count(value)} of {plan.segment_rows} rows where {column} is {value}")
    loss = next(finding for finding in findings if finding.check == "rollout-loss")
    if plan.labels and (loss.n or 0) < plan.labels:
        found.append(f"{loss.n or 0:,} of {plan.labels:,} labels")
    elif plan.labels and loss.verdict != "pass":
        found.append("labels do not show yet that its loss is within the margin")
    return found


def _compatible(champion: Model, challenger: Model) -> None:
    """Raise NotFit unless the challenger answers every request of the champion with an answer of the same kind."""
    sheet, other = champion.sheet, challenger.sheet
    if (sheet.task, sheet.classes, sheet.target) != (other.task, other.classes, other.target):
        raise NotFit("the challenger answers another question than the champion", where=other.target,
                     hint="promote it as it is: shipworthy promote, and tell its clients")
    for name in challenger.features.columns:
        if name not in champion.features.columns or sheet.schema[name].kind != other.schema[name].kind:
            told = "is not sent" if name not in champion.features.columns else "is sent as another kind"
            raise NotFit(f'the challenger reads "{name}", which {told} by the champion\'s clients', where=name,
                         hint="let the clients send what both read first")


def _sent(champion: Release, named: tuple[str, ...]) -> None:
    """Raise Misuse unless requests can hold the columns that the plan names."""
    shape = Shape(champion.model, declared(champion).columns)
    for name in named:
        if name not in (*shape.names, *shape.ignored):
            raise Misuse(f'no request holds a column "{name}"', where="[rollout] unit, segments",
                         hint=one_of(name, shape.names))


def _move(store: history.Home, known: Rolling, found: Decision, action: str, now: int, *, actor: str = "") -> None:
    """On record first, with the figures it rests on; then the servers are told."""
    from shipworthy.store.files import write_bytes

    figures = canonical(found)
    subject = {"alias": "challenger", "rollout": known.id, "release": known.challenger.release,
               "stage": str(found.stage), "mode": found.mode, "share": f"{found.share:g}", "at": str(now)}
    write_bytes(store.home / FOLDER / f"{digest(figures)}.json", figures)
    history.record(store, actor=actor or "rollout", role="operator" if actor else "automatic", action=action,
                   subject=subject, evidence=digest(figures), why=found.reason)
    moved = rolling(store)
    if moved is not None:
        _tell(store, moved)


def _end(
    store: history.Home, known: Rolling, found: Decision, action: str, now: int, *, actor: str = ""
) -> Decision:
    ended = msgspec.structs.replace(found, stage=known.stage, mode="alone", share=0.0)
    _move(store, known, ended, action, now, actor=actor)
    if history.aliases(store).get(history.CHALLENGER) == known.challenger.release:
        history.drop(store, history.CHALLENGER, by=actor or "rollout", why=f"{action}: {ended.reason}")
    return ended


def _tell(store: history.Home, known: Rolling) -> None:
    """What follows from the ledger, written for the servers unless they know it, while nobody moves the champion."""
    mode, share = stages(known.plan)[known.stage]
    with held(store):
        before, stand = read_standing(store.home), _stood(store)
        turn = before.turn if before else 0
        alone = known.ended or stand != known.champion
        told = Standing(turn, stand, previous=history.before(history.ledger(store))) if alone else Standing(
            turn, known.champion, known.challenger, mode, share, known.id, known.plan.unit)
        if told != before:
            write_standing(store.home, msgspec.structs.replace(told, turn=turn + 1))


def _stood(store: history.Home) -> Stand:
    subject = moves(history.ledger(store), history.CHAMPION)[-1]["subject"]
    return Stand(subject["release"], subject["folder"])


def _locked(store: history.Home) -> AbstractContextManager[object]:
    from shipworthy.store.files import lock

    return lock(store.home / "locks" / "rollout.lock")
