"""Run a step unless nothing it depends on has changed: caching, resuming and lineage are one act."""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import msgspec
import pyarrow as pa
import pyarrow.ipc as ipc
import pyarrow.parquet as pq
import pyarrow.types as is_

from shipworthy.errors import Misuse
from shipworthy.store import files
from shipworthy.store.opening import Store
from shipworthy.store.records import Artefact, Edge, Record, Step, check_id, now

Output: TypeAlias = "bytes | pa.Table"

_FORMAT = 1
_MANIFEST = "manifest.json"
Kind = Literal["bytes", "parquet", "arrow"]
_SUFFIX: dict[Kind, str] = {"bytes": ".bin", "parquet": ".parquet", "arrow": ".arrow"}
_EXACT_IN_PARQUET: tuple[Callable[[Any], bool], ...] = (
    is_.is_signed_integer, is_.is_unsigned_integer, is_.is_float32, is_.is_float64, is_.is_boolean,
    is_.is_string, is_.is_large_string, is_.is_binary, is_.is_large_binary, is_.is_date32, is_.is_decimal128,
)


@dataclass(frozen=True)
class Kept:
    """What a step gave. digests: output name → SHA-256 of its file, the `inputs` of the steps after it.

    key: names step, code, settings and inputs. seconds: how long this call took, computed or reused.
    """

    step: str
    key: str
    outputs: dict[str, Output]
    digests: dict[str, str]
    reused: bool
    seconds: float


class _Output(msgspec.Struct, frozen=True):
    file: str
    digest: str
    kind: Kind
    size: int


class _Manifest(msgspec.Struct, frozen=True):
    step: str
    key: str
    outputs: dict[str, _Output]


def keep(
    store: Store,
    step: str,
    compute: Callable[[], Mapping[str, Output]],
    *,
    code: str,
    settings: Mapping[str, Any],
    inputs: Mapping[str, str],
    run: str = "",
) -> Kept:
    """The outputs of a step: stored ones if code, settings and inputs are unchanged and every byte is intact.

    code: digest of what `compute` runs. settings: plain JSON values. inputs: name → digest. run: a run's id.
    Outputs come from disk either way, so a first run and a reuse give the same values. Tables are Parquet, or
    Arrow IPC where Parquet would change the schema. Two processes with one step: the second waits and reuses.
    A killed step leaves no outputs and is recorded as killed when it is next asked for.
    Raises `Misuse` for settings that are not JSON or outputs that are neither bytes nor tables; `StoreError`.
    """
    check_id(step, "a step name")
    begun = time.monotonic()
    key = step_key(step, code=code, settings=settings, inputs=inputs)
    folder = store.home / "kept" / key
    blank = Step(step=step, key=key, run=run, code=code, settings=_digest(settings), inputs=_digest(inputs))
    with files.lock(store.home / "locks" / f"kept-{key}.lock", math.inf):
        files.sweep(folder)
        _bury_killed(store, key)
        manifest = _intact(folder, key)
        reused = manifest is not None
        if manifest is None:
            manifest = _run(store, blank, compute, folder, inputs)
        else:
            _record_reuse(store, blank, manifest, inputs)
        outputs = {name: _load(folder / out.file, out.kind) for name, out in manifest.outputs.items()}
    return Kept(step, key, outputs, _digests(manifest), reused, time.monotonic() - begun)


def step_key(step: str, *, code: str, settings: Mapping[str, Any], inputs: Mapping[str, str]) -> str:
    """The digest that names a step with its code, settings and inputs."""
    return _digest([_FORMAT, step, code, settings, inputs])


def _run(
    store: Store,
    blank: Step,
    compute: Callable[[], Mapping[str, Output]],
    folder: Path,
    inputs: Mapping[str, str],
) -> _Manifest:
    """Record the start before the work, so that a killed step is known, and the end whatever happens."""
    store.metadata.add(blank)
    cpu, manifest = _cpu_seconds(), None
    try:
        manifest = _write(folder, blank, compute())
    finally:
        ended = msgspec.structs.replace(blank, ended=now(), cpu_seconds=_cpu_seconds() - cpu,
                                        status="done" if manifest else "failed",
                                        outputs=_digests(manifest) if manifest else {})
        store.metadata.add(ended, *(_lineage(ended, manifest, inputs) if manifest else ()))
    return manifest


def _write(folder: Path, step: Step, made: Mapping[str, Output]) -> _Manifest:
    outputs = {}
    with files.staged_folder(folder) as stage:
        for name, value in made.items():
            rough = stage / "output"
            kind = _save(rough, name, value)
            digest = _file_digest(rough)
            out = _Output(digest + _SUFFIX[kind], digest, kind, rough.stat().st_size)
            os.replace(rough, stage / out.file)
            outputs[name] = out
        manifest = _Manifest(step.step, step.key, outputs)
        (stage / _MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n")
    return manifest


def _save(path: Path, name: str, value: object) -> Kind:
    if isinstance(value, bytes):
        path.write_bytes(value)
        return "bytes"
    if not isinstance(value, pa.Table):
        raise Misuse(f'output "{name}" is a {type(value).__name__}, which cannot be kept', where=f"output {name}",
                     hint="return bytes or a pyarrow.Table for every name")
    table = value.combine_chunks()  # so that equal tables in other pieces give equal files
    distinct = len(set(table.column_names)) == table.num_columns > 0
    if distinct and all(_parquet_keeps(kind) for kind in table.schema.types):
        pq.write_table(table, path, compression="zstd")
        if pq.read_schema(path).equals(table.schema, check_metadata=True):
            return "parquet"
    with ipc.new_file(str(path), table.schema) as sink:
        sink.write_table(table)
    return "arrow"


def _load(path: Path, kind: Kind) -> Output:
    if kind == "bytes":
        return files.read_bytes(path)
    with files.told(path):
        if kind == "parquet":
            # not read_table, which takes columns from the names of folders
            with pq.ParquetFile(path) as parquet:
                table: pa.Table = parquet.read()
        else:
            with pa.OSFile(str(path)) as source:
                table = ipc.open_file(source).read_all()
    return table


def _parquet_keeps(kind: pa.DataType) -> bool:
    if is_.is_struct(kind):
        return kind.num_fields > 0 and all(_parquet_keeps(kind.field(i).type) for i in range(kind.num_fields))
    if is_.is_list(kind):
        return _parquet_keeps(kind.value_type)
    if is_.is_timestamp(kind):
        return str(kind.unit) != "s"
    return any(same(kind) for same in _EXACT_IN_PARQUET)


def _intact(folder: Path, key: str) -> _Manifest | None:
    """The manifest of kept outputs whose every byte is as it was written."""
    try:
        manifest = msgspec.json.decode((folder / _MANIFEST).read_bytes(), type=_Manifest)
        whole = manifest.key == key and all(
            out.file == out.digest + _SUFFIX[out.kind] and _file_digest(folder / out.file) == out.digest
            for out in manifest.outputs.values()
        )
    except (FileNotFoundError, NotADirectoryError, msgspec.DecodeError):
        return None
    return manifest if whole else None


def _bury_killed(store: Store, key: str) -> None:
    """Whoever runs this step holds its lock; we hold it now, so a step still called running is dead."""
    dead = store.metadata.find(Step, key=key, status="running")
    if dead:
        store.metadata.add(*[msgspec.structs.replace(step, status="killed", ended=now()) for step in dead])


def _record_reuse(store: Store, blank: Step, manifest: _Manifest, inputs: Mapping[str, str]) -> None:
    """Also the lineage, if the process that made the outputs was killed before it could record it."""
    done = msgspec.structs.replace(blank, status="reused", ended=now(), outputs=_digests(manifest))
    lineage = _lineage(done, manifest, inputs)
    known = all(store.metadata.get(Artefact, record.id) for record in lineage if isinstance(record, Artefact))
    store.metadata.add(done, *(() if known else lineage))


def _lineage(step: Step, manifest: _Manifest, inputs: Mapping[str, str]) -> list[Record]:
    made: list[Record] = []
    for name, out in manifest.outputs.items():
        artefact = Artefact(id=_digest([step.key, name]), name=name, digest=out.digest, key=step.key,
                            kind="bytes" if out.kind == "bytes" else "table", path=f"kept/{step.key}/{out.file}",
                            size=out.size)
        made.append(artefact)
        for role, source in inputs.items():
            id = _digest([step.key, role, name])
            made.append(Edge(id=id, source=source, target=out.digest, role=role, step=step.step, key=step.key))
    return made


def _digests(manifest: _Manifest) -> dict[str, str]:
    return {name: out.digest for name, out in manifest.outputs.items()}


def _file_digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest(value: Any) -> str:
    """Of canonical JSON; NaN is refused because JSON would make it null, and two settings one."""
    try:
        plain = msgspec.to_builtins(value, order="deterministic")
        text = json.dumps(plain, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise Misuse(f"the settings of a step cannot be written as JSON: {error}", where="settings",
                     hint="use text, numbers, booleans, lists and mappings; no NaN or infinity") from error
    return hashlib.sha256(text.encode()).hexdigest()


def _cpu_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
