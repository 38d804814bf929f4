"""Where the names of releases point: champion, challenger and free ones; who moved them, when, why, on what evidence.

Every move is a line of the ledger. After the line of a champion's move the servers are told, by one small file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from shipworthy.core.evidence import Waiver
from shipworthy.core.ledger import (
    CHOOSE,
    MEASURE,
    Line,
    criterion_of,
    moves,
    pointers,
    same,
    trained_by,
    trainers,
    trainings,
    waivers,
)
from shipworthy.core.project import Project
from shipworthy.core.release import Release
from shipworthy.deployment.integration.releases.book import Home as Home
from shipworthy.deployment.integration.releases.book import can_sign as can_sign
from shipworthy.deployment.integration.releases.book import carried as carried
from shipworthy.deployment.integration.releases.book import held, put, signing_key
from shipworthy.deployment.integration.releases.book import ledger as ledger
from shipworthy.deployment.integration.releases.book import must_sign as must_sign
from shipworthy.deployment.integration.releases.book import record as record
from shipworthy.deployment.integration.releases.book import seals as seals
from shipworthy.deployment.integration.releases.book import unbroken as unbroken
from shipworthy.deployment.integration.releases.release import open_release, own_evidence
from shipworthy.deployment.integration.releases.sign import TRUSTED, each_key, fingerprint, trusted
from shipworthy.deployment.integration.serving.standing import Stand, Standing, read_standing, write_standing
from shipworthy.errors import BadRelease, Misuse, NotFit, StoreError, one_of

CHAMPION, CHALLENGER = "champion", "challenger"
NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")


def promote(store: Home, release: Release, *, by: str, why: str, role: str = "approver") -> Line:
    """The ledger's line of making a release the champion.

    release: as it lies there, with the waivers and the gate of today in its evidence. Raises NotFit while a required
    row is neither proved nor waived, or when `by` trained it; BadRelease when another key signed it, its evidence is
    of something else, or no line says that it was made here; StoreError when the ledger does not hold; Misuse without
    a name or reason, or when the release is the champion already.
    """
    may_promote(store, release, by=by, why=why)
    with held(store) as lines:
        return _made_champion(store, lines, release, actor=by, action="promote", role=role, why=why)


def may_promote(store: Home, release: Release, *, by: str, why: str) -> None:
    """Nothing, when `by` may make the release the champion for this reason; raises what `promote` raises."""
    _named(by, why, "promote")
    if release.evidence.refusals:
        raise NotFit(f"release {release.short} is not fit: {', '.join(release.evidence.refusals)}",
                     where=str(release.folder), hint="shipworthy checklist shows what each row needs")
    signed = open_release(release.folder, key=trusted(signing_key(store)))
    own_evidence(signed)
    _may_approve(store, signed, by)


def rollback(store: Home, *, by: str, why: str, role: str = "operator") -> Release:
    """The release that was champion before the present one, made champion again once its digests and key hold.

    Anyone may, for what comes back was approved before.
    A release that was rolled back is never gone back to: whoever rolls back twice goes back twice.
    """
    _named(by, why, "rollback")
    with held(store) as lines:
        stood = reach(lines)
        if len(stood) < 2:
            raise Misuse("there is no earlier champion to go back to", where="the history of promotions",
                         hint="promote a release first")
        earlier = _promoted(store, stood[-2])
        _made_champion(store, lines, earlier, actor=by, action="rollback", role=role, why=why)
    return earlier


def point(store: Home, alias: str, release: Release, *, by: str, why: str, role: str = "operator") -> Line:
    """The ledger's line of pointing a name, such as challenger, at a release that a trusted key signed.

    alias: lower case letters, digits and dashes, and no start of an id; the champion only moves by promote and
    rollback. Raises Misuse, BadRelease, StoreError.
    """
    _named(by, why, f"point {alias}")
    _free(alias)
    signed = open_release(release.folder, key=trusted(signing_key(store)))
    with held(store) as lines:
        return _moved(store, lines, alias, signed, actor=by, action="point", role=role, why=why)


def challenge(store: Home, release: Release, *, by: str, why: str) -> None:
    """Let challenger point to a release, unless it does already. Raises as `point`."""
    if aliases(store).get(CHALLENGER) != release.id:
        point(store, CHALLENGER, release, by=by, why=why)


def drop(store: Home, alias: str, *, by: str, why: str, role: str = "operator") -> Line:
    """The ledger's line of taking a name away; the release stays. Raises Misuse, StoreError."""
    _named(by, why, f"drop {alias}")
    _free(alias)
    with held(store) as lines:
        known = pointers(lines)
        if alias not in known:
            raise Misuse(f'there is no alias "{alias}"', where="the ledger", hint=one_of(alias, known))
        return _dropped(store, lines, alias, actor=by, role=role, why=why)


def trust(store: Home, public: bytes, *, by: str, why: str) -> str:
    """The fingerprint of another project's public key (PEM): what it signed may be promoted here from now on.

    Whoever deletes its file from `.shipworthy/keys/trusted` ends that. Raises Misuse when it is not one key.
    """
    from shipworthy.store.files import write_bytes

    _named(by, why, "trust")
    keys = each_key(public)
    if len(keys) != 1:
        raise Misuse(f"there are {len(keys)} public keys in it, not one", where="the key",
                     hint="give the file of the other project: .shipworthy/keys/signing.pem.pub")
    found = fingerprint(keys[0])
    record(store, actor=by, role="operator", action="trust", subject={"signer": found}, why=why)
    write_bytes(signing_key(store).parent / TRUSTED / f"{found[:16]}.pem", keys[0])
    return found


def aliases(store: Home) -> dict[str, str]:
    """Alias → id of the release that it points to now."""
    return {alias: subject["release"] for alias, subject in pointers(ledger(store)).items()}


def named(store: Home, text: str) -> str:
    """The id of the release that an alias points to; any other text as it is."""
    return aliases(store).get(text, text)


def told(store: Home) -> Standing | None:
    """Who answers: what the servers were told last if that is the ledger's champion, else the champion alone.

    None before the first promotion. Raises StoreError when the ledger cannot be read.
    """
    return _standing(store, ledger(store))


def tell(store: Home) -> Standing | None:
    """Who answers, as `told`; the servers' file is written anew where it was lost or is older than the ledger."""
    with held(store) as lines:
        return _tell(store, lines)


def waived(store: Home, *, release: str = "", trainer: str = "") -> tuple[Waiver, ...]:
    """The waivers on record that count for a release, by id, or for one that a trainer is making: not their own."""
    lines = ledger(store)
    return waivers(lines, but=[trainer, *(trainers(lines, release) if release else ())])


def not_by_trainer(store: Home, by: str, *, trainer: str, act: str) -> None:
    """Raise NotFit when `by` trained the newest release on record, or is declared to train the next.

    act: what they may not do, such as "accept a row of it".
    """
    if any(same(by, who) for who in (trainer, *trainers(ledger(store)))):
        raise NotFit(f"{by} trained this model and may not {act}", where="the ledger",
                     hint="someone else does: --by NAME")


def measuring(store: Home, project: Project, rows: str) -> None:
    """Put on record the fairness criterion of a project, and then that groups of some rows are measured; each once.

    rows: digest of the table. To be called before the first figure of a group exists. Nothing where no criterion is
    chosen, for then no group is measured.
    """
    chosen, by = criterion_of(project), project.project.trainer
    if not chosen:
        return
    with held(store) as lines:
        for action, subject in ((CHOOSE, chosen), (MEASURE, {"rows": rows})):
            if not any(entry["action"] == action and entry["subject"] == subject for entry in lines):
                put(store, lines, actor=by, role="trainer", action=action, subject=subject)


def champion(store: Home) -> Release | None:
    """The release in production now, opened and verified; None before the first promotion. Raises BadRelease."""
    stands = pointers(ledger(store)).get(CHAMPION)
    return _promoted(store, stands) if stands else None


def in_production(store: Home, *, instead: str = "") -> Release:
    """The champion, as `champion`. Raises Misuse where there is none; instead: what could be done but to promote."""
    found = champion(store)
    if found is None:
        raise no_champion(store, instead=instead)
    return found


def no_champion(store: Home, *, instead: str = "") -> Misuse:
    """The error of whoever needs a champion before the first promotion."""
    return Misuse("nothing is in production", where=str(store.folder),
                  hint="shipworthy promote --by YOU --why REASON" + (f", or {instead}" if instead else ""))


def reach(lines: Sequence[Line]) -> list[dict[str, str]]:
    """The champions that nobody took back, oldest first, the present one last: each as its move names it.

    To all of them a rollback may go.
    """
    found: list[dict[str, str]] = []
    for entry in moves(lines, CHAMPION):
        subject = entry["subject"]
        at = [place for place, one in enumerate(found) if one["release"] == subject["release"]]
        found = found[: at[-1]] if entry["action"] == "rollback" and at else found
        found.append(subject)
    return found


def _named(by: str, why: str, action: str) -> None:
    if not by.strip() or not why.strip():
        raise Misuse("this is done only with a name and a reason", where=action, hint="say --by and --why")


def _may_approve(store: Home, release: Release, by: str) -> None:
    """By what is on record, not by what the project file says today."""
    made = [entry for entry in trainings(unbroken(store, release), release.id)
            if entry.get("evidence") == release.evidence.digest]
    if not made:
        raise BadRelease("the ledger does not say that this project made or imported the release",
                         where=str(release.folder), hint="promote what was made here: shipworthy run")
    names = [trained_by(entry) for entry in made]
    if any(same(by, name) for name in names):
        raise NotFit(f"{by} trained this model and may not approve it", where="the ledger",
                     hint="someone else promotes: --by NAME")
    if not all(name.strip() for name in names):
        raise NotFit("nobody is named as the trainer, so nobody can be shown to be somebody else", where="the ledger",
                     hint='say who trains: [project] trainer = "…" in shipworthy.toml, then: shipworthy run')


def _promoted(store: Home, subject: dict[str, str]) -> Release:
    """The release that a pointer move names, from its folder, signed by this project's key. Raises BadRelease."""
    release = open_release(store.folder / subject["folder"], key=trusted(signing_key(store)))
    if release.id != subject["release"]:
        raise BadRelease("another release lies where the champion was", where=str(release.folder),
                         hint=f"restore release {subject['release'][:16]} from a copy, or promote another")
    return release


def _made_champion(store: Home, lines: list[Line], release: Release, **facts: str) -> Line:
    """The line, then what follows from it: no challenger against itself, and servers that know."""
    try:
        made = _moved(store, lines, CHAMPION, release, **facts)
        if pointers(lines).get(CHALLENGER, {}).get("release") == release.id:
            facts["why"] = f"champion now: {facts['why']}"
            _dropped(store, lines, CHALLENGER, **{name: facts[name] for name in ("actor", "role", "why")})
    finally:
        _tell(store, lines)
    return made


def _moved(store: Home, lines: list[Line], alias: str, release: Release, **facts: str) -> Line:
    before = pointers(lines).get(alias, {}).get("release", "")
    if before == release.id:
        raise Misuse(f"release {release.short} is the {alias} already", where=str(release.folder),
                     hint="promote another release, or leave it as it is" if alias == CHAMPION else "leave it as it is")
    if not (release.folder / "release.json").is_file():
        raise BadRelease("the release was removed meanwhile", where=str(release.folder),
                         hint="choose another: shipworthy releases")
    subject = {"alias": alias, "release": release.id, "before": before, "folder": relative(store, release.folder)}
    return put(store, lines, subject=subject, evidence=release.evidence.digest, **facts)


def _dropped(store: Home, lines: list[Line], alias: str, **facts: str) -> Line:
    subject = {"alias": alias, "release": "", "before": pointers(lines)[alias]["release"], "folder": ""}
    return put(store, lines, action="drop", subject=subject, **facts)


def _tell(store: Home, lines: list[Line]) -> Standing | None:
    due = _standing(store, lines)
    if due is not None and due != _last_told(store):
        write_standing(store.home, due)
    return due


def _standing(store: Home, lines: list[Line]) -> Standing | None:
    """A champion that moved answers alone: what ran against the one before it says nothing about this one."""
    stands = pointers(lines).get(CHAMPION)
    if stands is None:
        return None
    stand, last = Stand(stands["release"], stands["folder"]), _last_told(store)
    if last is not None and last.champion == stand:
        return last
    return Standing(max(last.turn if last else 0, len(lines)) + 1, stand, previous=before(lines))


def before(lines: list[Line]) -> Stand | None:
    """The champion before the present one, to which a rollback would go; None if there is none."""
    stood = reach(lines)
    return Stand(stood[-2]["release"], stood[-2]["folder"]) if len(stood) > 1 else None


def _last_told(store: Home) -> Standing | None:
    try:
        return read_standing(store.home)
    except StoreError:  # the ledger knows
        return None


def _free(alias: str) -> None:
    if alias == CHAMPION:
        raise Misuse("the champion moves by promotion and rollback only", where=alias,
                     hint="shipworthy promote --by YOU --why REASON")
    if not NAME.fullmatch(alias) or not set(alias) - set("0123456789abcdef"):
        raise Misuse(f"{alias[:80]!r} is no name for a release", where="the alias",
                     hint="use lower case letters, digits and dashes, and more than the letters of an id: pilot-2")


def relative(store: Home, folder: Path) -> str:
    """Relative to the project, so that a moved project keeps its champion; absolute if it lies elsewhere."""
    own = Path(os.path.abspath(folder))
    root = Path(os.path.abspath(store.folder))
    return own.relative_to(root).as_posix() if own.is_relative_to(root) else str(own)
