"""Attestations on disk: one JSON file each, written by `attest`, read back with their signatures as they are."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec

from shipworthy.core.attested import Attestation, signed_by
from shipworthy.core.canon import canonical, digest
from shipworthy.core.registry import Marked
from shipworthy.errors import BadData, Misuse, StoreError, nearest, one_of
from shipworthy.survey import BY_ID

FOLDER = "attestations"


def attest(
    folder: Path | str, row: str, by: str, role: str, sentence: str, *, expires: str, key: bytes, topic: str = ""
) -> Path:
    """The file that now holds the signed statement, under `folder`/attestations.

    row: an id of the survey. expires: a date such as 2027-05-31. key: 32 bytes, see core.signed.new_key.
    Raises Misuse when the row is unknown, a word is missing or the date has passed.
    """
    if row not in BY_ID:
        raise Misuse(f'there is no row "{row}"', where="ROW", hint=one_of(row, BY_ID))
    if not (by.strip() and role.strip() and sentence.strip()):
        raise Misuse("an attestation needs a name, a role and a sentence", where=f"attestation of {row}",
                     hint="give all three: --by, --role, --sentence")
    today = datetime.now(UTC).date()
    if _day(expires) <= today:
        raise Misuse(f"{expires} has passed", where="--until", hint="an attestation expires on a later day")
    statement = signed_by(Attestation(row, topic, by, role, sentence, today.isoformat(), expires), key)
    path = Path(folder) / FOLDER / f"{row}.{topic or 'row'}.{digest(statement)[:12]}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    _write(path, canonical(statement))
    return path


def duties(checks: Mapping[str, Marked], settings: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[str, ...]]:
    """Row → topics that its checks ask somebody to sign, by the project's settings; no topics where any will do."""
    found: dict[str, list[tuple[str, ...]]] = {}
    for name, one in checks.items():
        if "attestations" in one.subjects:
            asks = tuple({**one.settings, **settings.get(name, {})}.get("topics", ()))
            found.setdefault(one.facts["row"], []).append(asks)
    return {row: tuple(chain.from_iterable(asked)) if all(asked) else () for row, asked in found.items()}


def asked(row: str, topic: str, wanted: Mapping[str, tuple[str, ...]]) -> None:
    """Raise Misuse when no check would read a statement about this row and topic. wanted: see `duties`."""
    if row not in BY_ID:
        raise Misuse(f'there is no row "{row}"', where="ROW", hint=one_of(row, BY_ID))
    if row not in wanted:
        raise Misuse(f"{row} is measured, not attested", where="ROW",
                     hint=f"rows to attest: {', '.join(wanted)}; to accept this one: shipworthy waive {row}")
    topics = wanted[row]
    if topics and topic not in topics:
        raise Misuse(f'{row} has no topic "{topic}"' if topic else f"{row} is attested topic by topic", where="--topic",
                     hint=" ".join((nearest(topic, topics), f"it has {', '.join(topics)}")).strip())


def read_attestations(folder: Path | str) -> tuple[Attestation, ...]:
    """Every statement under `folder`/attestations, in order of the file names; none if the folder is not there.

    Raises BadData naming a file that is not an attestation. Signatures are not judged here.
    """
    found = []
    for path in sorted((Path(folder) / FOLDER).glob("*.json")):
        try:
            found.append(msgspec.json.decode(path.read_bytes(), type=Attestation))
        except msgspec.MsgspecError as error:
            raise BadData(f"this is not an attestation: {error}", where=str(path),
                          hint="write it with attest()") from error
    return tuple(found)


def _day(words: str) -> date:
    try:
        return date.fromisoformat(words)
    except ValueError as error:
        raise Misuse(f'"{words}" is not a date', where="--until", hint="write it as 2027-05-31") from error


def _write(path: Path, content: bytes) -> None:
    """The whole file or none of it."""
    part = path.with_suffix(".part")
    try:
        part.write_bytes(content)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise StoreError(f"the attestation was not written: {error.strerror}", where=str(path),
                         hint="check the disk and the permissions of the folder, then sign it again") from error
