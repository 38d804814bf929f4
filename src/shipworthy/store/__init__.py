"""Where nouns are kept: tables with versions, files that are whole, and a record of all work.

Everything lies under `<project>/.shipworthy`:

    records/<kind>/<id>.json   what happened; the truth
    index.db                   the same, indexed; made again from the records if it is deleted. And the jobs
    tables/<name>/             Delta tables
    kept/<key>/                outputs of steps, by the digest of code, settings and inputs
    ledger.jsonl               who did what; its signed head beside it
    log/                       what servers wrote and nobody drained yet
    watch/<release>.json       what watching remembers of a release
    uploads/<job>.csv          tables that were sent with a job, until it has ended
    locks/                     one file a lock; what is in them does not matter
"""

from shipworthy.store.files import lock, read_bytes, staged_folder, write_bytes, write_folder
from shipworthy.store.jobs import Event, Job, Jobs, LostLease
from shipworthy.store.keep import Kept, keep, step_key
from shipworthy.store.metadata import Metadata
from shipworthy.store.opening import Store, open_store
from shipworthy.store.records import (
    Artefact,
    Edge,
    FindingRecord,
    HoldoutRead,
    Move,
    Pin,
    Record,
    Release,
    Run,
    Step,
    new_id,
    now,
)
from shipworthy.store.tables import Tables, Version

__all__ = [
    "Artefact", "Edge", "Event", "FindingRecord", "HoldoutRead", "Job", "Jobs", "Kept", "LostLease", "Metadata", "Move",
    "Pin", "Record", "Release", "Run", "Step", "Store", "Tables", "Version", "keep", "lock", "new_id", "now",
    "open_store", "read_bytes", "staged_folder", "step_key", "write_bytes", "write_folder",
]
