from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from shipworthy.core.evidence import Judged
from shipworthy.core.judge import run
from shipworthy.core.learned import Parts
from shipworthy.core.project import Project
from shipworthy.core.registry import Marked
from shipworthy.core.release import Release
from shipworthy.deployment.integration import checks
from shipworthy.deployment.integration.releases import sign
from shipworthy.deployment.integration.releases.history import ledger, promote, rollback
from shipworthy.marks import MARK
from shipworthy.sabotage import deployment_integration as faults
from shipworthy.store import Store, open_store

from .conftest import patients, small_model

Case = dict[str, Any]


def marked(module: Any, kind: str) -> list[Any]:
    return [value for value in vars(module).values()
            if callable(value) and getattr(value, MARK, {}).get("kind") == kind]


def judged(name: str, case: Any, **settings: Any) -> Any:
    check = next(found for found in marked(checks, "check") if getattr(found, MARK)["name"] == name)
    return run(Marked(name, check, getattr(check, MARK), "checks"), case, settings, Judged())


@pytest.fixture
def case(trained: Callable[..., Release], project: Project, store: Store, key: sign.Key) -> Case:
    first, second = trained(), trained(seed=1)
    promote(store, first, by="ann", why="first")
    promote(store, second, by="ann", why="better")
    rollback(store, by="eve", why="worse")
    table = patients(60)
    return {"release": first, "signer": sign.public_bytes(key), "model": small_model(),
            "parts": Parts(table, table, table), "arrived": table, "project": project,
            "history": ledger(store), "tables": store.tables}


def test_nothing_acknowledged_is_lost_to_a_kill(case: Case) -> None:
    finding = judged("kill-loses-nothing", case, requests=30)
    assert (finding.verdict, finding.sentence) == (
        "pass", "None of 30 acknowledged answers was lost when the server was killed, and it answered again after a "
        "restart.")


def test_a_log_in_memory_loses_what_was_acknowledged(case: Case) -> None:
    finding = judged("kill-loses-nothing", faults.log_kept_in_memory(case), requests=30)
    assert (finding.verdict, finding.sentence) == (
        "fail", "30 of 30 acknowledged answers were lost when the server was killed.")


def test_single_answers_equal_the_batch(case: Case) -> None:
    finding = judged("served-equals-batch", case)
    assert (finding.verdict, finding.sentence) == (
        "pass", "All 60 sampled rows of the holdout are answered one by one exactly as in a batch.")


def test_other_features_than_those_trained_are_noticed(case: Case) -> None:
    finding = judged("served-equals-batch", faults.other_features_served(case))
    assert finding.verdict == "fail"
    assert "rows of the holdout are answered otherwise one by one than in a batch" in finding.sentence
    assert finding.counterexample["served"] != finding.counterexample["batch"]


def test_a_release_that_refuses_a_row_of_the_holdout_fails(case: Case) -> None:
    model, release = case["model"], case["release"]
    served = release.model.with_sheet(schema=model.sheet.schema.replace("smoker", kind="timestamp"))
    finding = judged("served-equals-batch", {**case, "release": Release(release.folder, release.manifest, served,
                                                                        release.evidence)})
    assert finding.verdict == "fail"
    assert finding.sentence.startswith('The release refuses row 0 of the holdout: field "smoker"')


def test_a_server_that_skips_the_cleaning_is_noticed(case: Case) -> None:
    assert judged("served-equals-batch", faults.coded_rows(case)).verdict == "pass"
    finding = judged("served-equals-batch", faults.cleaning_not_served(case))
    assert finding.verdict == "fail"
    assert finding.sentence.startswith("12 of 60 rows of the holdout are answered otherwise one by one than in a batch")


def test_an_empty_holdout_is_unknown(case: Case) -> None:
    empty = patients(60).head(0)
    assert judged("served-equals-batch", {**case, "parts": Parts(empty, empty, empty)}).verdict == "unknown"


def test_a_release_and_its_pointer_moves_are_on_record(case: Case) -> None:
    finding = judged("release-identified", case)
    assert (finding.verdict, finding.sentence) == (
        "pass", f"Release {case['release'].short} follows from code, model and data, its 10 files are as listed, and 3 "
        "pointer moves are on record in a ledger of 5 unbroken lines.")


def test_a_signature_covers_every_file(case: Case) -> None:
    finding = judged("signature-verifies", case)
    assert finding.verdict == "pass"
    assert finding.sentence.startswith("The project's key signed all 11 files of the release")


def test_no_stored_table_is_unknown_and_stored_ones_reopen(case: Case) -> None:
    assert judged("tables-reopen", case).verdict == "unknown"
    finding = judged("tables-reopen", faults.three_versions(case, 1))
    assert (finding.verdict, finding.sentence) == (
        "pass", "All 3 versions tried of 1 stored tables open with the rows that were written.")


def test_versions_of_a_real_store_reopen_until_a_file_is_gone(tmp_path: Path) -> None:
    tables = open_store(tmp_path).tables
    for start in range(3):
        tables.write("flights", pa.table({"n": pa.array(range(start, start + 10), pa.int64())}))
    tables.write("flights", pa.table({"n": pa.array([1], pa.int64())}), "overwrite")
    assert judged("tables-reopen", {"tables": tables}).verdict == "pass"
    first = min((tmp_path / ".shipworthy" / "tables" / "flights").glob("*.parquet"), key=lambda p: p.stat().st_mtime_ns)
    first.unlink()
    finding = judged("tables-reopen", {"tables": tables})
    assert finding.verdict == "fail"
    assert finding.counterexample["versions"][-1].startswith("version 0 of flights: ")


@pytest.mark.parametrize("fault", [fault for fault in marked(faults, "sabotage")
                                   if getattr(fault, MARK)["check"] != "kill-loses-nothing"])
def test_every_planted_fault_is_caught(case: Case, fault: Any) -> None:
    finding = judged(getattr(fault, MARK)["check"], fault(case))
    assert finding.verdict == "fail"
    assert finding.remedy


@pytest.mark.parametrize("clean", marked(faults, "twin"))
def test_every_twin_is_quiet(case: Case, clean: Any) -> None:
    assert judged(getattr(clean, MARK)["check"], clean(case, 1)).verdict == "pass"


def test_every_check_has_a_planted_fault() -> None:
    planted = {getattr(fault, MARK)["check"] for fault in marked(faults, "sabotage")}
    assert planted == {getattr(check, MARK)["name"] for check in marked(checks, "check")}
