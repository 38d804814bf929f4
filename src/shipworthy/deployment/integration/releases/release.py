"""The release: an immutable, signed folder that holds all that is served and all that proves it."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from shipworthy.core.canon import canonical, digest
from shipworthy.core.evidence import AXES, Evidence
from shipworthy.core.found import Contract, Profile
from shipworthy.core.grid import read_grid
from shipworthy.core.lazy import Lazy
from shipworthy.core.learned import Recipe
from shipworthy.core.model import Model, read_model
from shipworthy.core.release import Identity, Manifest, Release
from shipworthy.core.schema import Schema
from shipworthy.core.table import Table
from shipworthy.deployment.integration.releases import folder as folders
from shipworthy.deployment.integration.releases import sign
from shipworthy.deployment.integration.releases.provenance import environment
from shipworthy.deployment.integration.releases.use import MANIFEST
from shipworthy.errors import BadModel, BadRelease, Misuse

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq
else:
    pa, pq = Lazy("pyarrow"), Lazy("pyarrow.parquet")

FORMAT = 2
SIGNER = "signer.pem"
REQUIRES = ("numpy", "pyarrow", "msgspec")
SCHEMA_KEY = b"shipworthy"
Result = tuple[str, bool, str]


def write_release(
    folder: Path, *, name: str, model: Model, evidence: Evidence, identity: Identity, extras: Mapping[str, bytes],
    key: sign.Key,
) -> Release:
    """The release just written as `<folder>/<first 16 of its id>/`, opened again from there and so verified.

    extras: file name → bytes of what else belongs to it: profile.json, contract.json, grid.json, grid.npz, forest.json,
    forest.npz, card.md,
    datasheet.json, provenance.json, and tables as `packed` Parquet, such as holdout.parquet. The folder appears whole
    or not at all and is read-only. Writing what is already there opens it. Raises Misuse, BadRelease, StoreError.
    """
    from shipworthy.store.files import write_folder  # here: a server opens releases without the store's libraries

    if identity.model != model.digest:
        raise Misuse("the identity names another model than the one to be released", where="identity.model",
                     hint="make the identity from the digest of this model")
    versions = environment()
    files = {**{folders.check_name(entry): raw for entry, raw in extras.items()}, **model.files(),
             "schema.json": canonical(model.sheet.schema), "evidence.json": canonical(evidence),
             "environment.json": canonical(versions), SIGNER: sign.public_bytes(key)}
    listed = folders.digests(files)
    made = Manifest(release_id(identity, listed), name, datetime.now(UTC).isoformat(timespec="microseconds"), identity,
                    listed, versions, REQUIRES)
    target = Path(folder) / made.id[:16]
    if target.exists():
        return open_release(target)
    files[MANIFEST] = msgspec.json.format(canonical(made), indent=1)
    files[sign.SIGNATURE] = sign.sign(folders.digests(files), name=made.id[:16], key=key)
    write_folder(target, files)
    for path in folders.walk(target).values():
        path.chmod(0o444)
    return open_release(target)


def open_release(folder: Path, *, key: bytes | None = None) -> Release:
    """A release from its folder, once every digest, its id and its signature hold.

    key: the public key (PEM) that must have signed it; by default the one in the folder, which shows that nothing
    was altered but not who signed. Raises BadRelease naming the file.
    """
    return checked(Path(folder), folders.read_all(Path(folder)), key=key)


def checked(folder: Path, files: Mapping[str, bytes], *, key: bytes | None = None) -> Release:
    """The release that these files are, as `open_release` says; nothing is read from the disk.

    folder: where they lie, or will. files: name → bytes of every file.
    """
    manifest = _manifest(files)
    _same_files(manifest, files)
    _identity(manifest)
    if sign.SIGNATURE not in files:
        raise BadRelease("the release is not signed", where=sign.SIGNATURE,
                         hint="do not use it: restore the release from a copy, or build it again")
    signed = folders.digests({name: raw for name, raw in files.items() if name != sign.SIGNATURE})
    sign.verify_signature(signed, files[sign.SIGNATURE], key or files.get(SIGNER, b""))
    model = _model(files)
    _of_model(model, manifest.identity.model)
    return Release(folder, manifest, model, _decode(files, "evidence.json", Evidence))


def read_manifest(folder: Path) -> Manifest:
    """What a release's folder says of itself, unproved. Raises BadRelease."""
    return _manifest({MANIFEST: folders.read(folder / MANIFEST, MANIFEST)})


def own_evidence(release: Release) -> None:
    """Nothing, when every finding was made of the release's own code, model and data. Raises BadRelease."""
    _of_identity(release.evidence, release.manifest.identity)


def release_id(identity: Identity, files: Mapping[str, str]) -> str:
    """SHA-256 of identity and file digests: equal for equal content, whenever it was made."""
    return digest({"identity": identity, "files": dict(files)})


def verify(folder: Path, *, key: bytes | None = None) -> list[Result]:
    """What holds of a release folder: (what, ok, sentence) for files, identity, signature, model and evidence.

    Never raises for a bad release. The evidence is executed again by whoever holds the checks; see `stored`.
    """
    folder = Path(folder)
    try:
        files = folders.read_all(folder)
        manifest = _manifest(files)
    except BadRelease as error:
        return [("files", False, _told(error))]
    plain = {name: raw for name, raw in files.items() if name != sign.SIGNATURE}
    signer = files.get(SIGNER, b"")
    inside = f"the key inside, {sign.fingerprint(signer)[:16]}; compare it with your own copy"
    whose, count = "the key given" if key else inside, len(manifest.files)
    sums = folders.digests(plain)
    steps: list[tuple[str, Callable[[], Any], str]] = [
        ("files", lambda: _same_files(manifest, files), f"{count} files are as listed, none is unlisted"),
        ("identity", lambda: _identity(manifest), f"{manifest.id[:16]} follows from code, model, data and files"),
        ("signature", lambda: sign.verify_signature(sums, files.get(sign.SIGNATURE, b""), key or signer),
         f"signed by {whose}"),
        ("model", lambda: _of_model(_model(files), manifest.identity.model),
         "the program can be read and is the one named"),
        ("evidence", lambda: _judged(files, manifest.identity), "every finding was made of this code, model and data"),
    ]
    return [_tried(what, act, sentence) for what, act, sentence in steps]


def stored(release: Release) -> dict[str, Any]:
    """The nouns that a release carries, by subject name, for judging it again without its project.

    Always model, evidence and release; where their files are there: profile, contract, datasheet, grid, provenance,
    recipe and every packed table by its file name without suffix. Raises BadRelease when one cannot be read.
    """
    files = {name: folders.read(release.folder / name, name) for name in release.manifest.files}
    for name, raw in files.items():
        if digest(raw) != release.manifest.files[name]:
            raise BadRelease("a file was altered since the release was opened", where=name,
                             hint="do not use it: restore the release from a copy, or build it again")
    found: dict[str, Any] = {"release": release, "model": release.model, "evidence": release.evidence}
    for name, kind in (("profile", Profile), ("contract", Contract), ("datasheet", dict), ("provenance", dict),
                       ("recipe", Recipe)):
        if f"{name}.json" in files:
            found[name] = _decode(files, f"{name}.json", kind)
    if "grid.json" in files:
        for name in ("grid.npz", "forest.npz"):
            folders.check_unpacked(files.get(name, b""), name)
        found["grid"] = read_grid(files)
    tables = {name: raw for name, raw in files.items() if name.endswith(".parquet")}
    return {**found, **{name.removesuffix(".parquet"): unpacked(raw, where=name) for name, raw in tables.items()}}


def packed(table: Table) -> bytes:
    """A table as Parquet bytes, with the meaning of its columns, its name and its origin inside."""
    about = canonical({"schema": table.schema, "name": table.name, "origin": table.origin})
    sink = io.BytesIO()
    pq.write_table(table.data.replace_schema_metadata({SCHEMA_KEY: about}), sink, compression="zstd")
    return sink.getvalue()


def unpacked(raw: bytes, *, where: str = "") -> Table:
    """The table of `packed`; its digest is the same. Raises BadRelease."""
    try:
        data = pq.read_table(_arrow_owned(raw))
        about = msgspec.json.decode((data.schema.metadata or {})[SCHEMA_KEY], type=_About)
    except (pa.ArrowException, msgspec.MsgspecError, KeyError, OSError) as error:
        raise BadRelease(f"a table of the release cannot be read: {error}", where=where,
                         hint="restore the release from a copy, or build it again: shipworthy run") from error
    return Table(data.replace_schema_metadata(None), about.schema, about.name, about.origin)


def _arrow_owned(raw: bytes) -> Any:
    """The bytes in memory that Arrow owns: its threads may free Python's after the interpreter ends, and abort.

    Source: Apache Arrow issue 34314.
    """
    sink = pa.BufferOutputStream()
    sink.write(raw)
    return pa.BufferReader(sink.getvalue())


class _About(msgspec.Struct, frozen=True):
    schema: Schema
    name: str
    origin: str


def _manifest(files: Mapping[str, bytes]) -> Manifest:
    if MANIFEST not in files:
        raise BadRelease("the folder is not a release", where=MANIFEST, hint="a release is made by: shipworthy run")
    manifest: Manifest = _decode(files, MANIFEST, Manifest)
    if manifest.format != FORMAT:
        raise BadRelease(f"release format {manifest.format} is unknown", where=MANIFEST,
                         hint=f"this version reads format {FORMAT}")
    folders.check_names(manifest.files)
    return manifest


def _same_files(manifest: Manifest, files: Mapping[str, bytes]) -> None:
    there = folders.digests(files)
    for name, listed in sorted(manifest.files.items()):
        if name not in there:
            raise BadRelease("a file of the release is missing", where=name,
                             hint="restore the release from a copy, or build it again: shipworthy run")
        if there[name] != listed:
            raise BadRelease("a file of the release was altered", where=name, hint="fetch the release again")
    for name in files:
        if name not in manifest.files and name not in (MANIFEST, sign.SIGNATURE):
            raise BadRelease("a file is not listed in the release", where=name, hint="delete it")


def _identity(manifest: Manifest) -> None:
    if release_id(manifest.identity, manifest.files) != manifest.id:
        raise BadRelease("the id does not follow from the identity and the files", where=MANIFEST,
                         hint="do not use it: restore the release from a copy, or build it again")
    for axis in AXES:
        if not getattr(manifest.identity, axis):
            raise BadRelease(f"the identity lacks the {axis}", where=MANIFEST,
                             hint="do not use it: restore the release from a copy, or build it again")


def _model(files: Mapping[str, bytes]) -> Model:
    folders.check_unpacked(files.get("program.npz", b""), "program.npz")
    try:
        return read_model(files)
    except BadModel as error:
        raise BadRelease(error.problem, where=error.where, hint=error.hint) from error


def _of_model(model: Model, named: str) -> None:
    if model.digest != named:
        raise BadRelease("the model is another one than the identity names", where="model.json",
                         hint="do not use it: restore the release from a copy, or build it again")


def _judged(files: Mapping[str, bytes], identity: Identity) -> None:
    _of_identity(_decode(files, "evidence.json", Evidence), identity)


def _of_identity(evidence: Evidence, identity: Identity) -> None:
    for finding in evidence.findings:
        for axis in AXES:
            told = getattr(finding.judged, axis)
            if told and told != getattr(identity, axis):
                raise BadRelease(f'the finding of "{finding.check}" was made of another {axis}', where="evidence.json",
                                 hint="judge it again: shipworthy run")


def _decode(files: Mapping[str, bytes], name: str, kind: Any) -> Any:
    try:
        return msgspec.json.decode(files[name], type=kind)
    except KeyError as error:
        raise BadRelease("a file of the release is missing", where=name,
                         hint="restore the release from a copy, or build it again: shipworthy run") from error
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadRelease(f"a file of the release cannot be read: {error}", where=name,
                         hint="restore the release from a copy, or build it again: shipworthy run") from error


def _tried(what: str, act: Callable[[], Any], sentence: str) -> Result:
    try:
        act()
    except BadRelease as error:
        return what, False, _told(error)
    return what, True, sentence


def _told(error: BadRelease) -> str:
    return f"{error.problem}: {error.where}" if error.where else error.problem
