"""Two releases at once: who answers whom, what is asked in the shadow, and changing without a lost request."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from shipworthy.core.features import Features
from shipworthy.core.model import Model
from shipworthy.core.program import Lookup, Program, Term
from shipworthy.core.project import Project
from shipworthy.core.release import Release
from shipworthy.deployment.integration.log.read import predictions
from shipworthy.deployment.integration.releases.use import unused
from shipworthy.deployment.integration.serving.answerer import answerer
from shipworthy.deployment.integration.serving.app import App, app
from shipworthy.deployment.integration.serving.client import Connection
from shipworthy.deployment.integration.serving.counters import FAILED, ROWS, Board
from shipworthy.deployment.integration.serving.host import Server
from shipworthy.deployment.integration.serving.standing import FILE, Stand, Standing, place, write_standing
from shipworthy.store import Store

from ..conftest import ask, record, small_model

Make = Callable[..., Release]


@pytest.fixture
def two(make_release: Make) -> tuple[Release, Release]:
    return make_release(seed=0), make_release(seed=1)


def told(store: Store, turn: int, champion: Release, challenger: Release | None = None, **more: Any) -> Standing:
    stands = [release and Stand(release.id, str(release.folder)) for release in (champion, challenger)]
    standing = Standing(turn, stands[0], stands[1], **more)  # type: ignore[arg-type]
    write_standing(store.home, standing)
    return standing


@pytest.fixture
def follower(store: Store, two: tuple[Release, Release], project: Project, tmp_path: Path) -> App:
    return app(two[0], tmp_path / "log", project, home=store.home)


def follow(served: App) -> bool:
    return asyncio.run(served.arms.follow())


def test_a_server_that_was_told_nothing_goes_on(follower: App, two: tuple[Release, Release]) -> None:
    assert not follow(follower)
    assert ask(follower, "POST", "/v1/predict", record())[1]["release"] == two[0].id[:16]


def test_a_new_champion_answers_from_the_next_request_on(
    follower: App, store: Store, two: tuple[Release, Release]
) -> None:
    told(store, 1, two[1])
    assert follow(follower)
    assert not follow(follower)
    status, answer = ask(follower, "POST", "/v1/predict", record())
    expected = answerer(small_model(seed=1)).answer([record()])[0]
    assert status == 200
    assert answer == {**expected, "release": two[1].id[:16], "prediction_id": answer["prediction_id"]}
    assert ask(follower, "GET", "/version")[1]["release"] == two[1].id


def test_a_release_that_was_altered_is_not_followed_and_the_cause_is_told(
    follower: App, store: Store, two: tuple[Release, Release]
) -> None:
    card = two[1].folder / "card.md"
    card.chmod(0o644)
    card.write_text("better")
    told(store, 1, two[1])
    assert not follow(follower)
    assert ask(follower, "POST", "/v1/predict", record())[1]["release"] == two[0].id[:16]
    assert "card.md" in ask(follower, "GET", "/ready")[1]["cause"]


def test_a_release_that_another_key_signed_is_not_followed(
    follower: App, store: Store, two: tuple[Release, Release]
) -> None:
    from shipworthy.deployment.integration.releases import sign

    stranger = sign.make_key(store.home / "other.pem")
    (store.home / "keys" / "signing.pem.pub").write_bytes(sign.public_bytes(stranger))
    told(store, 1, two[1])
    assert not follow(follower)
    assert "signature" in follower.arms.cause


def test_a_canary_answers_its_share_of_the_entities_and_always_the_same(
    follower: App, store: Store, two: tuple[Release, Release], tmp_path: Path
) -> None:
    told(store, 1, two[0], two[1], mode="canary", share=0.3, salt="s", unit=("age", "ward"))
    follow(follower)
    asked = [record(age=float(age), ward=ward) for age in range(60) for ward in ("east", "west")]
    single = [ask(follower, "POST", "/v1/predict", each)[1] for each in asked]
    again = [each for start in (0, 50, 100)
             for each in ask(follower, "POST", "/v1/predict", asked[start : start + 50])[1]]
    wanted = [two[place(f"{each['age']}\x1f{each['ward']}", "s") < 0.3].id[:16] for each in asked]
    assert [each["release"] for each in single] == [each["release"] for each in again] == wanted
    expected = [answerer(small_model(seed=int(name == two[1].id[:16]))).answer([each])[0]["probabilities"]
                for name, each in zip(wanted, asked, strict=True)]
    assert [each["probabilities"] for each in again] == [each["probabilities"] for each in single] == expected
    log = predictions(tmp_path / "log")
    arms = Counter(zip(log.words("arm"), log.numbers("propensity"), log.words("release"), strict=True))
    share = wanted.count(two[1].id[:16])
    assert arms == {("challenger", 0.3, two[1].id): 2 * share, ("champion", 0.7, two[0].id): 2 * (120 - share)}


def test_without_a_unit_every_request_is_drawn_on_its_own(
    follower: App, store: Store, two: tuple[Release, Release]
) -> None:
    told(store, 1, two[0], two[1], mode="canary", share=0.5, salt="s")
    follow(follower)
    names = Counter(ask(follower, "POST", "/v1/predict", record())[1]["release"] for _ in range(200))
    assert 60 < names[two[0].id[:16]] < 140


def test_a_shadow_is_asked_and_nobody_sees_it(
    follower: App, store: Store, two: tuple[Release, Release], tmp_path: Path
) -> None:
    told(store, 1, two[0], two[1], mode="shadow")
    follow(follower)
    seen = [ask(follower, "POST", "/v1/predict", record(age=float(age)))[1] for age in range(20)]
    seen += ask(follower, "POST", "/v1/predict", [record(), record(ward="west")])[1]
    assert {each["release"] for each in seen} == {two[0].id[:16]}
    champion, challenger = follower.arms.all
    assert (champion.cells[ROWS], challenger.cells[ROWS]) == (22, 22)


def test_a_version_is_answered_by_name_while_it_is_warm(
    follower: App, store: Store, two: tuple[Release, Release]
) -> None:
    told(store, 1, two[0], two[1], mode="shadow")
    follow(follower)
    for release in two:
        place = f"/v2/models/ward/versions/{release.id[:16]}"
        assert ask(follower, "GET", place)[0] == 200
        assert ask(follower, "GET", f"{place}/ready")[0] == 200
    told(store, 2, two[0])
    follow(follower)
    assert ask(follower, "GET", f"/v2/models/ward/versions/{two[1].id[:16]}")[0] == 404


def test_a_server_keeps_the_releases_it_has_warm_in_use_until_it_ends(
    follower: App, store: Store, two: tuple[Release, Release]
) -> None:
    def free() -> list[bool]:
        with unused(two[0].folder) as first, unused(two[1].folder) as second:
            return [first, second]

    assert free() == [False, True]
    told(store, 1, two[0], two[1], mode="shadow")
    follow(follower)
    assert free() == [False, False]
    follower.arms.close()
    assert free() == [True, True]


def test_a_champion_whose_challenger_cannot_be_opened_is_let_go(
    follower: App, store: Store, two: tuple[Release, Release], make_release: Make
) -> None:
    broken = make_release(small_model(seed=2))
    (broken.folder / "card.md").chmod(0o644)
    (broken.folder / "card.md").write_text("better")
    told(store, 1, two[1], broken, mode="shadow")
    assert not follow(follower)
    with unused(two[1].folder) as free:
        assert free


def test_a_challenger_that_comes_after_a_restart_is_counted_apart_from_the_champion(
    store: Store, two: tuple[Release, Release], project: Project, tmp_path: Path
) -> None:
    board = Board()
    app(two[0], tmp_path / "log", project, home=store.home, counters=board.counters()).arms.close()
    again = app(two[0], tmp_path / "log", project, home=store.home, counters=board.counters())
    told(store, 1, two[0], two[1], mode="shadow")
    follow(again)
    again.arms.champion.cells[FAILED] += 3
    assert [arm.cells[FAILED] for arm in again.arms.all] == [3, 0]


def test_champions_change_under_load_and_no_request_is_lost(
    store: Store, two: tuple[Release, Release], project: Project, tmp_path: Path
) -> None:
    serving = msgspec.structs.replace(project.serve, max_concurrent=64)
    body, stop = msgspec.json.encode(record()), threading.Event()
    seen: list[tuple[int, str]] = []
    expected = {each.id[:16]: answerer(small_model(seed=seed)).answer([record()])[0]["probabilities"]
                for seed, each in enumerate(two)}

    def client(address: str) -> None:
        with Connection(address) as connection:
            while not stop.is_set():
                status, answer = connection.post("/v1/predict", body)
                told = msgspec.json.decode(answer)
                seen.append((status, told.get("release", "")))
                assert told["probabilities"] == expected[told["release"]]

    with Server(two[0], tmp_path / "log", serving, home=store.home) as server:
        clients = [threading.Thread(target=client, args=(server.address,)) for _ in range(8)]
        for each in clients:
            each.start()
        with Connection(server.address) as connection:
            for turn in range(1, 5):
                told(store, turn, two[turn % 2])
                while connection.json("/version")["release"] != two[turn % 2].id:
                    pass
        stop.set()
        for each in clients:
            each.join()
    statuses = Counter(status for status, _ in seen)
    assert set(statuses) == {200}
    assert {name for _, name in seen} == {each.id[:16] for each in two}
    assert predictions(tmp_path / "log").rows == len(seen)


def test_a_challenger_that_reads_fewer_columns_is_asked_with_those(
    follower: App, store: Store, two: tuple[Release, Release], make_release: Make
) -> None:
    whole = small_model(seed=2)
    features = Features(tuple(one for one in whole.features.encoders if one.column in ("ward", "dose")))
    terms = (Term(Lookup((1,)), {"cuts0": np.array([]), "values": np.array([[0.0], [1.0], [2.0], [-1.0]])}),)
    sheet = msgspec.structs.replace(whole.sheet, features=features, schema=whole.sheet.schema.only(["ward", "dose"]))
    fewer = make_release(Model(sheet, Program(features.inputs, terms, "logistic", ("no", "yes"))))
    told(store, 1, two[0], fewer, mode="canary", share=1.0, salt="s", unit=("age",))
    follow(follower)
    expected = answerer(fewer.model).answer([{"ward": "west", "dose": 0.5}])[0]["probabilities"]
    single = ask(follower, "POST", "/v1/predict", record(ward="west"))[1]
    several = ask(follower, "POST", "/v1/predict", [record(ward="west")])[1][0]
    assert (single["release"], single["probabilities"]) == (fewer.id[:16], expected)
    assert several["probabilities"] == expected
    told(store, 2, two[0], fewer, mode="shadow")
    follow(follower)
    before = follower.arms.all[1].cells[ROWS]
    ask(follower, "POST", "/v1/predict", record(ward="west"))
    assert follower.arms.all[1].cells[ROWS] == before + 1


def test_rows_that_name_nobody_are_drawn_one_by_one(
    follower: App, store: Store, two: tuple[Release, Release]
) -> None:
    told(store, 1, two[0], two[1], mode="canary", share=0.5, salt="s", unit=("age",))
    follow(follower)
    seen = Counter(ask(follower, "POST", "/v1/predict", record(age=None))[1]["release"] for _ in range(100))
    assert 20 < seen[two[0].id[:16]] < 80


def test_what_the_champion_refuses_is_no_fault_of_the_challenger(
    store: Store, two: tuple[Release, Release], project: Project, tmp_path: Path
) -> None:
    strict = msgspec.structs.replace(project.serve, unseen="refuse")
    served = app(two[0], tmp_path / "log", strict, home=store.home)
    told(store, 1, two[0], two[1], mode="shadow")
    follow(served)
    for _ in range(6):
        assert ask(served, "POST", "/v1/predict", [record(), record(ward="nowhere")])[0] == 422
    assert [arm.cells[FAILED] for arm in served.arms.all] == [0, 0]
    assert [arm.cells[ROWS] for arm in served.arms.all] == [0, 0]


def test_every_dialect_takes_part_in_a_rollout(follower: App, store: Store, two: tuple[Release, Release]) -> None:
    told(store, 1, two[0], two[1], mode="canary", share=1.0, salt="s")
    follow(follower)
    usual = record()
    kinds = {"age": "FP64", "dose": "FP64", "ward": "BYTES", "smoker": "BOOL", "seen": "BYTES", "grade": "INT64"}
    inputs = [{"name": name, "datatype": kind, "shape": [1], "data": [usual[name]]} for name, kind in kinds.items()]
    before = follower.arms.all[1].cells[ROWS]
    assert ask(follower, "POST", "/v2/models/ward/infer", {"inputs": inputs})[0] == 200
    assert ask(follower, "POST", "/invocations", {"dataframe_records": [usual]})[0] == 200
    assert follower.arms.all[1].cells[ROWS] == before + 2
    named = f"/v2/models/ward/versions/{two[0].id[:16]}/infer"
    assert ask(follower, "POST", named, {"inputs": inputs})[0] == 200
    assert follower.arms.all[0].cells[ROWS] == 1


def test_what_could_not_be_followed_is_tried_again(follower: App, store: Store, two: tuple[Release, Release]) -> None:
    (store.home / FILE).write_text("{")
    assert not follow(follower)
    assert FILE in ask(follower, "GET", "/ready")[1]["cause"]
    told(store, 1, two[1])
    while not follow(follower):
        pass
    assert "cause" not in ask(follower, "GET", "/ready")[1]
