"""The way from Python, as in a notebook: every value shows itself small, and text from data stays text."""

from __future__ import annotations

import pydoc
import re
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

import shipworthy as sw
from shipworthy.cli.waive import waive
from shipworthy.core.evidence import Evidence, Finding
from shipworthy.core.project import FILE
from shipworthy.core.shown import STYLES
from shipworthy.flow import Renewal

HOSTILE = "<script>alert('x')</script>&\""
PROJECT = """
[project]
name = "<i>orders</i>"
subject = "thing"
trainer = "ann@example.org"

[data]
target = "returned"
identifiers = ["order"]

[[source]]
address = "orders.parquet"

[learning]
seconds = 2.0
search = false
learners = ["trivial", "linear"]
"""
MOST_BYTES = 60_000
TAGS = {"table", "caption", "tr", "th", "td", "p", "b", "br"}


class Tags(HTMLParser):
    """The tags of a page, and whether any has an attribute."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.seen: set[str] = set()
        self.attributes: list[Any] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.attributes += attrs


def checked(value: Any) -> str:
    """The value's HTML, once it is small and holds no tag but those of a plain table, and no style of another's."""
    text: str = value._repr_html_()
    assert len(text.encode()) < MOST_BYTES
    tags = Tags(text)
    assert tags.seen <= TAGS
    assert set(tags.attributes) <= {("style", style) for style in STYLES.values()}
    return text


def orders(rows: int = 1_200) -> dict[str, Any]:
    random = np.random.default_rng(4)
    price, shop = random.normal(size=rows), random.choice([HOSTILE, "mill", "high street"], rows)
    returned = random.random(rows) < 1 / (1 + np.exp(1 - 2 * price - (shop == "mill")))
    return {"order": [f"o{n}" for n in range(rows)], HOSTILE: price, "shop": shop,
            "returned": np.where(returned, "yes", "no")}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("orders")
    (folder / FILE).write_text(PROJECT, encoding="utf-8")
    return sw.open_workspace(folder)


@pytest.fixture(scope="module")
def built(place: Any) -> Any:
    return sw.build(place, {"orders": sw.read(orders(), name="orders")})


def test_a_table_and_its_profile_show_hostile_names_as_text() -> None:
    table = sw.read(orders(), name=HOSTILE)
    told = checked(table)
    assert "&lt;script&gt;" in told
    assert "1,200 rows × 4 columns" in told
    profile = sw.profile(table, target="returned")
    assert checked(profile).count("&lt;script&gt;") == 1
    assert "<td>order</td>" in checked(sw.discover([table]))


def test_a_wide_table_of_long_text_stays_small() -> None:
    wide = sw.read({f"column {n}": ["word " * 4_000] * 20 for n in range(200)})
    assert len(checked(wide)) < 30_000
    checked(sw.profile(sw.read({f"c{n}": [n, n + 1.5] for n in range(500)})))


@pytest.fixture(scope="module")
def promoted(place: Any, built: Any) -> Any:
    soon = (datetime.now(UTC) + timedelta(days=30)).date().isoformat()
    for row in sw.checklist(place).refusals:
        waive(place, row=row, by="owner@example.org", reason="a small table", until=soon)
    return sw.promote(place, by="ben@example.org", why="the checklist holds")


def test_a_release_candidate_shows_its_verdict_and_the_checklist_what_was_waived(
    place: Any, built: Any, promoted: Any
) -> None:
    assert "&lt;i&gt;orders&lt;/i&gt;" in checked(built)
    assert "<caption>not fit: " in checked(built)
    told = checked(sw.checklist(place))
    assert re.search(r"<caption>fit: \d+ of 19 required rows hold, \d+ accepted by name \(", told)
    assert re.search(r"<p>✎ accepted by owner@example.org until [\d-]+: a small table</p>", told)


def test_the_champion_answers_and_is_verified_again(place: Any, promoted: Any) -> None:
    standing = sw.champion(place)
    assert standing.id == promoted.id
    checked(standing)
    checked(standing.model)
    assert "30 predictions" in checked(standing.model.predict(sw.read(orders(30))))
    assert [told for told in sw.recheck(standing.folder) if not told[1]] == []


def test_watching_and_renewing_show_their_findings(place: Any, built: Any, promoted: Any) -> None:
    checked(sw.watch(place))
    finding = msgspec.structs.replace(built.release.evidence.findings[0], sentence=HOSTILE)
    assert "&lt;script&gt;" in checked(Renewal(False, HOSTILE, (finding,)))


def test_every_value_says_itself_in_one_short_line(place: Any, built: Any) -> None:
    table = sw.read(orders(30))
    for value in (built, built.release, built.release.evidence, built.release.model, table, sw.profile(table), place,
                  Renewal(False, "the champion stays", (), built.release)):
        assert len(repr(value)) < 250, repr(value)
        assert "\n" not in repr(value)
    assert repr(built.release.evidence).startswith("Evidence(not fit: ")


def test_evidence_shows_verdict_word_required_mark_whole_sentences_and_remedy() -> None:
    sentence = "A sentence. " * 60
    loud = Finding("loud", "data.cleaning", "fail", sentence, remedy="mend <it>")
    calm = Finding("calm", "data.discovery", "pass", "Fine.", remedy="nothing to do")
    evidence = Evidence((loud, calm), ("data.cleaning",))
    told = checked(evidence)
    assert f'<b style="{STYLES["fail"]}">✗&nbsp;fail</b>' in told
    assert "<b>data.cleaning</b><br>required" in told
    assert f"<p>loud: {sentence}<br>→ mend &lt;it&gt;</p>" in told
    assert "<p>calm: Fine.</p>" in told and "nothing to do" not in told


def test_a_folder_is_taken_wherever_a_workspace_is(place: Any, built: Any, tmp_path: Path) -> None:
    folder = str(place.folder)
    assert sw.checklist(folder).refusals == sw.checklist(place).refusals
    assert sw.champion(place.folder) is None or sw.champion(folder).id == built.release.id
    with pytest.raises(sw.ShipworthyError, match="there is no project file"):
        sw.build(str(tmp_path))
    with pytest.raises(sw.ShipworthyError, match="a dict is no project"):
        sw.watch({})
    page = sw.report(folder, tmp_path / "page.html")
    assert page.read_text("utf-8").startswith("<!doctype html>")


def test_predicting_and_explaining_take_a_data_frame(place: Any, built: Any) -> None:
    answers = sw.predict(place, orders(30), release_id=built.release.id)
    assert len(answers) == 30
    why = sw.explain(str(place.folder), orders(30), 3)
    assert why.answer["prediction"] == answers.decision[3]
    assert "&lt;script&gt;" in checked(why)
    with pytest.raises(sw.ShipworthyError, match="there is no row 30"):
        sw.explain(place, orders(30), 30)


def test_attesting_from_python_signs_into_the_projects_folder(place: Any) -> None:
    soon = (datetime.now(UTC) + timedelta(days=30)).date().isoformat()
    sw.attest(place.folder, "law.non-technical", topic="impact-assessment", by="eve@example.org", role="legal",
              sentence="No person is harmed.", until=soon)
    assert list(place.attestations.iterdir())


def test_the_help_of_the_package_opens_with_its_use_and_is_short() -> None:
    told = pydoc.plain(pydoc.render_doc(sw))
    assert len(told) < 12_000
    assert told.index("sw.build") < told.index("FUNCTIONS")


def test_a_file_that_is_not_there_is_told_without_a_setting_of_the_project_file() -> None:
    with pytest.raises(sw.ShipworthyError) as caught:
        sw.read("nofile.csv")
    assert caught.value.hint == "check the path, and from which folder it is meant"


def test_every_public_name_can_be_had_and_is_listed() -> None:
    assert [name for name in sw._PLACES if not hasattr(sw, name)] == []
    assert set(sw.__all__) <= set(sw._PLACES) <= set(dir(sw))
    with pytest.raises(AttributeError, match="has no attribute 'bild'"):
        sw.bild  # noqa: B018
