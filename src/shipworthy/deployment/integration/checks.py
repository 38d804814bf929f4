"""Checks of integration: nothing acknowledged is lost, what is served is what was trained, who signed what."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from shipworthy.core.evidence import Finding, say
from shipworthy.core.learned import Parts
from shipworthy.core.ledger import broken, moves
from shipworthy.core.model import Model
from shipworthy.core.project import Project
from shipworthy.core.release import Release
from shipworthy.core.table import Table
from shipworthy.deployment.integration.log.read import predictions
from shipworthy.deployment.integration.releases import folder as folders
from shipworthy.deployment.integration.releases import sign
from shipworthy.deployment.integration.releases.release import open_release, verify
from shipworthy.deployment.integration.serving.answerer import answerer
from shipworthy.deployment.integration.serving.client import Connection
from shipworthy.deployment.integration.serving.host import Server
from shipworthy.deployment.integration.serving.record import LONGEST
from shipworthy.errors import BadData, BadRelease, StoreError
from shipworthy.marks import check

NOTES = ("unseen", "missing", "outside")


@check("kill-loses-nothing", row="deployment.operations")
def kill_loses_nothing(release: Release, parts: Parts, project: Project, *, requests: int = 120) -> Finding:
    """Whether every answer that a client received is in the log after the server was killed (SIGKILL).

    A real server process on this machine answers this many requests, is killed, is started again on the same log and
    answers once more. One kill: it can show a loss, and no loss in n answers.
    """
    records = _records(release, parts.holdout, requests)
    with tempfile.TemporaryDirectory() as place:
        try:
            acknowledged = _answered(release, Path(place), project, records)
            with Server(release, Path(place), project) as again, Connection(again.address) as connection:
                after, _ = connection.post("/v1/predict", records[0])
        except StoreError as error:
            return say("fail", f"The server did not start: {error.problem}. {error.hint}", n=len(records),
                       remedy="shipworthy verify RELEASE")
        kept = set(predictions(Path(place)).words("prediction_id"))
    lost = [place for place in acknowledged if place not in kept]
    counted = len(acknowledged)
    if lost or after != 200 or counted < len(records):
        told = f"{len(lost)} of {counted} acknowledged answers were lost when the server was killed"
        told = f"{counted} of {len(records)} requests were answered" if counted < len(records) else told
        again_told = "" if after == 200 else f"; restarted, it answered {after}"
        return say("fail", told + again_told + ".", value=float(len(lost)), limit=0.0, n=counted,
                   counterexample={"lost": lost[:5]}, remedy='set log = "kept" or "durable" under [serve]')
    return say("pass", f"None of {counted} acknowledged answers was lost when the server was killed, and it answered "
               "again after a restart.", value=0.0, limit=0.0, n=counted)


@check("served-equals-batch", row="deployment.reuse")
def served_equals_batch(
    release: Release, model: Model, parts: Parts, arrived: Table, project: Project, *, rows: int = 200
) -> Finding:
    """Whether the release answers single rows as they arrived exactly as the trained model scores them, cleaned, as a
    batch: the rows on which it was judged.

    Compared bit for bit over an even sample of the holdout: decision, probabilities, set or interval, abstention.
    """
    if not parts.holdout.rows or arrived.rows != parts.holdout.rows:
        told = f"The holdout has {parts.holdout.rows:,} rows, and {arrived.rows:,} as they arrived"
        return say("unknown", f"{told}: there is nothing to compare.", n=0,
                   remedy="give the holdout a share in [split]")
    table = _sample(parts.holdout, rows)
    expected = model.predict(table)
    served = answerer(release.model, msgspec.structs.replace(project.serve, unseen="accept", strange="answer"))
    differ, worst, example = 0, 0.0, dict[str, Any]()
    for place, record in enumerate(_plain(release, _sample(arrived, rows))):
        try:
            answer = served.answer([record])[0]
        except BadData as error:
            return say("fail", f"The release refuses row {place} of the holdout: {error.problem}.", n=table.rows,
                       counterexample={"record": _shown(record)}, remedy="shipworthy run makes the release again")
        answer = {name: value for name, value in answer.items() if name not in NOTES}
        if answer != expected[place] and _differs(answer, expected[place]):
            differ += 1
            worst = max(worst, _distance(answer, expected[place]))
            example = example or {"record": _shown(record), "served": answer, "batch": expected[place]}
    if differ:
        told = f"{differ} of {table.rows} rows of the holdout are answered otherwise one by one than in a batch"
        return say("fail", f"{told}, by up to {worst:.2g}.", value=float(differ), limit=0.0, n=table.rows,
                   counterexample=example,
                   remedy="shipworthy run makes the release again from the model that was judged")
    return say("pass", f"All {table.rows} sampled rows of the holdout are answered one by one exactly as in a batch.",
               value=0.0, limit=0.0, n=table.rows)


@check("release-identified", row="deployment.delivery")
def release_identified(release: Release, history: list[dict[str, Any]]) -> Finding:
    """Whether the release names its code, model and data, its files are as listed, and every pointer move is on record.

    A move is on record when the ledger's chain of hashes is whole and each move starts where the last one ended.
    """
    wrong = [f"{what}: {sentence}" for what, ok, sentence in verify(release.folder) if not ok and what != "signature"]
    wrong += [f"the identity lacks the {axis}" for axis in ("code", "model", "data")
              if not getattr(release.manifest.identity, axis)]
    wrong += broken(history)
    nameless = [entry["n"] for entry in moves(history) if not entry.get("actor") or not entry.get("why")]
    wrong += [f"line {number} moves a pointer without a name or a reason" for number in nameless]
    moved, files = len(moves(history)), len(release.manifest.files)
    if wrong:
        return say("fail", f"{_first(wrong)}.", value=float(len(wrong)), limit=0.0, n=files + len(history),
                   counterexample={"problems": wrong[:5]}, remedy="restore the release or the ledger from a backup")
    told = "one pointer move is" if moved == 1 else f"{moved} pointer moves are"
    return say("pass", f"Release {release.short} follows from code, model and data, its {files} files are as listed, "
               f"and {told} on record in a ledger of {len(history)} unbroken lines.", value=0.0, limit=0.0,
               n=files + len(history))


@check("signature-verifies", row="ethics.authorship")
def signature_verifies(release: Release, signer: bytes) -> Finding:
    """Whether the project's key signed every file of the release as it lies there now.

    signer: the project's public key; the one inside a release only shows that whoever made it had a key.
    """
    try:
        files = folders.read_all(release.folder)
        bundle = files.pop(sign.SIGNATURE, b"")
        sign.verify_signature(folders.digests(files), bundle, signer)
        open_release(release.folder, key=signer)
    except BadRelease as error:
        return say("fail", f"The release is not what was signed: {error.problem} ({error.where}).", value=0.0,
                   limit=1.0, counterexample={"file": error.where},
                   remedy="fetch the release again, or make it again: shipworthy run")
    return say("pass", f"The project's key signed all {len(files)} files of the release; its fingerprint is "
               f"{sign.fingerprint(signer)[:16]}.", value=1.0, limit=1.0, n=len(files))


@check("tables-reopen", row="solutions.storage")
def tables_reopen(tables: Any, *, versions: int = 3) -> Finding:
    """Whether stored tables still open at their newest, oldest and pinned versions, with no fewer rows than each wrote.

    tables: `names()`, `history(name)` and `read(name, version)`, as `store.Tables` has them. versions: tried per table.
    """
    names = list(tables.names())
    if not names:
        return say("unknown", "No table is stored yet.", n=0, remedy="shipworthy run keeps the tables of a project")
    opened, lost = 0, []
    for name in names:
        history = tables.history(name)
        for version in _chosen(history, versions):
            try:
                read = tables.read(name, version.version)
            except StoreError as error:
                lost.append(f"version {version.version} of {name}: {error.problem}")
                continue
            opened += 1
            least, most = _rows(history, version.version)
            if not least <= read.num_rows <= most:
                lost.append(f"version {version.version} of {name} has {read.num_rows} rows, not {least} to {most:g}")
    if lost:
        return say("fail", f"{len(lost)} of {opened + len(lost)} stored versions do not open as written: {lost[0]}.",
                   value=float(len(lost)), limit=0.0, n=opened + len(lost), counterexample={"versions": lost[:5]},
                   remedy="restore the table's folder from a backup; pin versions that must stay")
    return say("pass", f"All {opened} versions tried of {len(names)} stored tables open with the rows that were "
               "written.", value=0.0, limit=0.0, n=opened)


def _answered(release: Release, log: Path, project: Project, records: list[bytes]) -> list[str]:
    """The prediction ids that a client received before it killed the server."""
    server = Server(release, log, project).start()
    try:
        with Connection(server.address) as connection:
            answers = [connection.post("/v1/predict", record) for record in records]
    finally:
        server.kill()
    return [msgspec.json.decode(body)["prediction_id"] for status, body in answers if status == 200]


def _sample(table: Table, rows: int) -> Table:
    """An even sample, in order."""
    return table.take(np.unique(np.linspace(0, table.rows - 1, min(rows, table.rows)).astype(np.int64)) if table.rows
                      else np.array([], np.int64))


def _plain(release: Release, table: Table) -> Iterable[dict[str, Any]]:
    """The rows as records of the fields that the release reads; NaN and infinity, which JSON has not, as null."""
    read = [name for name in release.model.features.columns if name in table.schema]
    for record in table.select(read).records():
        yield {name: None if isinstance(value, float) and not abs(value) < LONGEST else value
               for name, value in record.items()}


def _records(release: Release, table: Table, rows: int) -> list[bytes]:
    found = [msgspec.json.encode(record) for record in _plain(release, _sample(table, rows))]
    return (found * (-(-rows // len(found))))[:rows] if found else [b"{}"]


def _differs(served: dict[str, Any], batch: dict[str, Any]) -> bool:
    """Equal but for NaN, which is not equal to itself, is equal."""
    return repr(served) != repr(batch)


def _distance(served: dict[str, Any], batch: dict[str, Any]) -> float:
    if "probabilities" in served and "probabilities" in batch:
        pairs = [(value, batch["probabilities"].get(name, 0.0)) for name, value in served["probabilities"].items()]
    else:
        pairs = [(served["prediction"], batch["prediction"])]
    return max((abs(a - b) for a, b in pairs if isinstance(a, float) and isinstance(b, float)), default=0.0)


def _shown(record: dict[str, Any]) -> dict[str, Any]:
    return {name: value if isinstance(value, int | float | str | bool | None) else str(value)
            for name, value in record.items()}


def _chosen(history: list[Any], count: int) -> list[Any]:
    """The newest versions, the oldest, and those that are pinned.

    What nobody pinned need not outlive a clean-up, for an erasure takes it away on purpose.
    """
    cleaned = max((version.version for version in history if version.operation == "vacuum end"), default=0)
    owed = [version for version in history if version.version >= cleaned or version.pins]
    ends = {*range(count - 1), len(owed) - 1}
    return [version for place, version in enumerate(owed) if place in ends or version.pins]


def _rows(history: list[Any], version: int) -> tuple[int, float]:
    """The fewest and most rows that a version may have: what it wrote itself, and all that was ever written up to it.

    The log does not say whether a write appended or replaced; where it counts no rows the most is unbounded.
    """
    added = {entry.version: entry.rows_added for entry in history if entry.version <= version}
    known = [rows for rows in added.values() if rows is not None]
    return added[version] or 0, sum(known) if len(known) == len(added) == version + 1 else float("inf")


def _first(problems: list[str]) -> str:
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return problems[0][:1].upper() + problems[0][1:] + more
