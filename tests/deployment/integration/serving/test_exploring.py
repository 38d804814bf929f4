"""What is left to chance: who answers a holdback, noise on the score, and what the log says of both."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from shipworthy.core.project import Feedback, Project, parse
from shipworthy.core.release import Release
from shipworthy.core.table import Table
from shipworthy.deployment.integration.log.read import predictions
from shipworthy.deployment.integration.serving.answerer import answerer
from shipworthy.deployment.integration.serving.app import App, app
from shipworthy.deployment.integration.serving.exploring import STEPS
from shipworthy.deployment.integration.serving.standing import Stand, Standing, place, write_standing
from shipworthy.errors import BadProject, Misuse
from shipworthy.store import Store

from ..conftest import ask, record, small_model

Make = Callable[..., Release]
ASKED = [record(age=float(age), ward=ward) for age in range(90) for ward in ("east", "west")]


@pytest.fixture
def two(make_release: Make) -> tuple[Release, Release]:
    return make_release(seed=0), make_release(seed=1)


@pytest.fixture
def serve(store: Store, two: tuple[Release, Release], project: Project, tmp_path: Path) -> Callable[..., App]:
    def make(mode: str = "alone", **rules: Any) -> App:
        asked = msgspec.structs.replace(project, feedback=Feedback(**rules))
        served = app(two[1], tmp_path / "log", asked, home=store.home)
        stands = [Stand(release.id, str(release.folder)) for release in two]
        others = {"previous": stands[0]} if mode == "alone" else {"challenger": stands[0]}
        write_standing(store.home, Standing(1, stands[1], mode=mode, share=0.3, **others))  # type: ignore[arg-type]
        asyncio.run(served.arms.follow())
        return served

    return make


def both_ways(served: App) -> list[dict[str, Any]]:
    """Every record asked on its own, then several at once."""
    single = [ask(served, "POST", "/v1/predict", each)[1] for each in ASKED]
    return single + [one for start in range(0, len(ASKED), 45)
                     for one in ask(served, "POST", "/v1/predict", ASKED[start : start + 45])[1]]


def log_of(folder: Path) -> Table:
    return predictions(folder / "log")


def test_the_previous_champion_answers_its_share_of_the_entities_and_always_the_same(
    serve: Callable[..., App], two: tuple[Release, Release], tmp_path: Path
) -> None:
    found = both_ways(serve(holdback=0.05, unit=("age", "ward"), salt="s"))
    held = [place(f"{each['age']}\x1f{each['ward']}", "s") < 0.05 for each in ASKED] * 2
    assert 4 < sum(held) < 30
    assert [each["release"] == two[0].id[:16] for each in found] == held
    log = log_of(tmp_path)
    assert Counter(log.words("arm")) == {"holdback": sum(held), "champion": len(held) - sum(held)}
    assert set(log.words("release")[log.words("arm") == "holdback"]) == {two[0].id}


def test_the_action_of_a_holdback_is_certain_where_both_policies_take_it(
    serve: Callable[..., App], tmp_path: Path
) -> None:
    both_ways(serve(holdback=0.05, unit=("age", "ward"), salt="s"))
    log = log_of(tmp_path)
    new = [answerer(small_model(seed=1)).answer([each])[0]["prediction"] for each in ASKED]
    decisions = {(each["age"], each["ward"]): word for each, word in zip(ASKED, new, strict=True)}
    for row in log.data.to_pylist():
        same = decisions[row["age"], row["ward"]] == row["decision"]
        chance = 0.95 if row["arm"] == "champion" else 1.0 if same else 0.05
        assert (row["propensity"], row["explored"]) == (chance, row["arm"] == "holdback" and not same)


def test_chance_decides_for_a_holdback_where_no_model_does(serve: Callable[..., App], tmp_path: Path) -> None:
    found = both_ways(serve(holdback=0.05, policy="random", salt="t"))
    log = log_of(tmp_path)
    held = log.words("arm") == "holdback"
    assert 3 < held.sum() < 40
    assert set(log.numbers("propensity")[held].round(6)) <= {0.025, 0.975}
    assert set(log.numbers("propensity")[~held].round(6)) == {0.975}
    assert (log.numbers("explored") == held).all()
    sent = {each["prediction_id"]: each["prediction"] for each in found}
    assert [sent[one] for one in log.words("prediction_id")] == list(log.words("decision"))


def test_a_label_after_a_decision_that_chance_made_is_not_the_models_doing(
    serve: Callable[..., App], tmp_path: Path
) -> None:
    both_ways(serve(holdback=0.05, policy="random", salt="t", influenced=("yes",)))
    log = log_of(tmp_path)
    wanted = (log.words("decision") == "yes") & (log.words("arm") == "champion")
    assert (log.numbers("influenced") == wanted).all()


def test_noise_is_sent_and_logged_beside_the_score_of_the_model(serve: Callable[..., App], tmp_path: Path) -> None:
    found = both_ways(serve(randomise=0.02))
    log = log_of(tmp_path)
    sent = {each["prediction_id"]: each["probabilities"]["yes"] for each in found}
    score, noise = log.numbers("score"), np.nan_to_num(log.numbers("noise"))
    assert score + noise == pytest.approx([sent[one] for one in log.words("prediction_id")], abs=1e-12)
    exact = dict.fromkeys(answerer(small_model(seed=1)).batch(
        [small_shape(each) for each in ASKED]).score)
    assert set(score) <= set(exact)
    inside = (score >= 0.06) & (score <= 0.94)
    assert (noise[~inside] == 0).all()
    assert np.abs(noise).max() <= 0.06
    assert noise[inside].std() == pytest.approx(0.02, rel=0.15)
    assert np.rint(noise / 0.02 * STEPS) == pytest.approx(noise / 0.02 * STEPS, abs=1e-6)


def small_shape(one: dict[str, Any]) -> Any:
    return answerer(small_model(seed=1)).shape.convert([one])[0]


def test_only_near_the_threshold_does_noise_choose_the_action(serve: Callable[..., App], tmp_path: Path) -> None:
    both_ways(serve(randomise=0.02))
    log = log_of(tmp_path)
    score, chance = log.numbers("score"), log.numbers("propensity")
    near = np.abs(score - 0.5) < 0.06
    assert (log.numbers("explored") == near).all()
    assert (chance[~near] == 1).all()
    assert ((chance[near] > 0) & (chance[near] < 1)).all()


def test_nothing_is_left_to_chance_while_a_rollout_shares_the_traffic(
    serve: Callable[..., App], tmp_path: Path
) -> None:
    both_ways(serve("canary", holdback=0.05, policy="random", randomise=0.02))
    log = log_of(tmp_path)
    assert set(log.words("arm")) == {"champion", "challenger"}
    assert set(log.numbers("propensity").round(6)) == {0.3, 0.7}
    assert np.isnan(log.numbers("noise")).all()


def test_a_previous_champion_that_cannot_be_opened_stops_nothing(
    serve: Callable[..., App], two: tuple[Release, Release], tmp_path: Path
) -> None:
    card = two[0].folder / "card.md"
    card.chmod(0o644)
    card.write_text("better")
    served = serve(holdback=0.05)
    both_ways(served)
    assert set(log_of(tmp_path).words("arm")) == {"champion"}
    assert "nothing is held back" in served.arms.cause


def test_a_number_is_not_drawn_at_random(make_release: Make, project: Project, tmp_path: Path) -> None:
    asked = msgspec.structs.replace(project, feedback=Feedback(holdback=0.01, policy="random"))
    with pytest.raises(Misuse, match="a number is not drawn at random"):
        app(make_release(small_model(())), tmp_path / "log", asked)


PROJECT = '[project]\nname = "x"\n[data]\ntarget = "y"\n'


@pytest.mark.parametrize(("text", "said"), [
    ("[feedback]\nregulated = true\nrandomise = 0.01", "gets no noise"),
    ('[feedback]\nrandomise = 0.01\n[law]\nuses = ["credit"]', "gets no noise"),
    ('[feedback]\nregulated = true\nholdback = 0.01\npolicy = "random"', "not made by chance"),
    ("[feedback]\nholdback = 0.2", "<= 0.05")])
def test_settings_that_may_not_be_are_refused(text: str, said: str) -> None:
    with pytest.raises(BadProject, match=said):
        parse(PROJECT + text)


def test_a_use_that_is_said_not_to_be_regulated_may_be_left_to_chance() -> None:
    rules = parse(PROJECT + '[feedback]\nrandomise = 0.01\nregulated = false\n[law]\nuses = ["education"]').feedback
    assert rules.randomise == 0.01
