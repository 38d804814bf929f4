"""Before and now, replayed: the sides of a comparison, and whose change an incident of harm is, found by itself.

Before is the champion that was replaced, on its own holdout, or the present one on its holdout where there was none;
now is the present one on the labelled rows that it served.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from shipworthy.again import stored, training
from shipworthy.core.clock import DAY
from shipworthy.core.ledger import trained_here
from shipworthy.core.release import Release
from shipworthy.core.rows import also_in
from shipworthy.core.table import Floats, Table
from shipworthy.core.tallies import Tallies
from shipworthy.data.preprocessing.same import joined_labels
from shipworthy.deployment.integration.log.read import labels as labels_of
from shipworthy.deployment.integration.log.read import predictions
from shipworthy.deployment.integration.log.tables import HELD
from shipworthy.deployment.integration.releases import history
from shipworthy.deployment.integration.releases.shelf import find_release
from shipworthy.deployment.monitoring.incident import Replay, Span
from shipworthy.deployment.monitoring.late import MATURE, maturity
from shipworthy.deployment.updating.attribution import FEWEST, AxisShares, Share, Side, judged, replayed
from shipworthy.deployment.updating.poison import labelled
from shipworthy.deployment.updating.renew import next_rows
from shipworthy.deployment.updating.unbiased import unbiased
from shipworthy.errors import FAULTS, BadData, Misuse, ShipworthyError
from shipworthy.metrics.losses import row_losses
from shipworthy.store.workspace import Workspace, code_digest

SPAN = {"hour": DAY, "day": 7 * DAY, "week": 28 * DAY}
ENOUGH = 200  # labelled rows for whose sake a replay reaches further back
SAME = 1e-9
Clock = Callable[[], float]


def side(place: Workspace, release: Release) -> Side:
    """A release and its holdout as it arrived; learnt from are all other rows that it was made from."""
    known = stored(release)
    arrived: Table = known["arrived"]
    if not trained_here(history.ledger(place.store), release.id):
        return Side(release.model, arrived, known["learn"])
    table = training(place, release)
    return Side(release.model, arrived, table.take(~also_in(table, arrived)))


def why_worse(
    place: Workspace, release: Release, tallies: Tallies, *, labels: Table | None = None,
    clock: Clock = time.monotonic
) -> Replay:
    """Whose change made the champion worse, by the labelled rows that it served last; or why that cannot be told.

    It never raises for what it finds, so that a look does not fail of it. tallies: of the champion. labels: instead of
    those of the log. clock: seconds; after those of [watch] replay_seconds no further mix is begun.
    """
    end = clock() + place.project.watch.replay_seconds

    def ready() -> None:
        if clock() > end:
            raise Misuse(f"the {place.project.watch.replay_seconds:g} seconds for it are over",
                         where="[watch] replay_seconds",
                         hint="allow more of them, or ask by hand: shipworthy compare --traffic")

    try:
        return _why_worse(place, release, tallies, labels, ready)
    except ShipworthyError as error:
        return Replay(f"not replayed: {error.problem}{f' ({error.where})' if error.where else ''}.")
    except (*FAULTS, OSError) as error:
        return Replay(f"not replayed: it failed with {type(error).__name__}: {error}.")


def _why_worse(
    place: Workspace, release: Release, tallies: Tallies, labels: Table | None, ready: Callable[[], None]
) -> Replay:
    most = place.project.watch.replay
    since, young = _reach(tallies, place.project.watch.window, most)
    arrived: Table = stored(release)["arrived"]
    rows, score = _served(place, release, arrived, since, labels)
    newest = np.arange(max(0, rows.rows - most), rows.rows)
    rows, score = rows.take(newest), score[newest]
    ready()
    now, found, older, note = Side(release.model, rows), None, _before(place), ""
    if older is not None:
        try:
            found = replayed(_unlearnt(place, older, release), now, ready=ready)
        except ShipworthyError as error:
            note, older = f"; the champion before it takes no part: {error.problem}", None
    if found is None:
        found = replayed(Side(release.model, arrived.spread(most)), now, ready=ready)
        found = replace(found, shares={axis: share for axis, share in found.shares.items() if axis != "model"})
    found = found.served_otherwise(_otherwise(release, rows, score))
    first = f"{older.short} and {release.short}" if older else f"{release.short} as released and now"
    told = f"{first}, {found.rows[0]:,} holdout rows and {found.rows[1]:,} served ones with a label{note}"
    return _told(found, f"{told}{young}{_other_code(place, older or release)}", older)


def _told(found: AxisShares, about: str, older: Release | None) -> Replay:
    """The shares as an incident carries them."""
    model = "" if older else " No other champion is at hand, so the model is not compared."
    return Replay(f"{judged(found).sentence}{model} Replayed: {about}.", found.change and _span(found.change),
                  {axis: _span(share) for axis, share in found.known.items()},
                  {"+".join(sorted(mix)): loss for mix, loss in found.losses.items()}, older.id if older else "",
                  found.rows)


def _span(share: Share) -> Span:
    return share.value, share.low, share.high


def _reach(tallies: Tallies, level: str, most: int) -> tuple[int, str]:
    """From when on served rows are looked at, in microseconds, and what is to be said of labels still on their way.

    As far back as windows are called recent, or further for the sake of ENOUGH labels; not beyond the rows wanted.
    """
    cohorts = tallies.cohorts.whole
    days, place = np.unique(cohorts.at // DAY * DAY, return_inverse=True)
    count = np.bincount(place, weights=cohorts.of("labels")[:, 0], minlength=len(days)).astype(np.int64)
    days, count = days[count > 0], count[count > 0]
    if count.sum() < FEWEST:
        raise BadData(f"{count.sum()} labelled rows are too few, {FEWEST} are needed", where="the log",
                      hint="wait for more labels")
    behind = np.cumsum(count[::-1])[::-1]  # from each day on
    wanted = (days > days[-1] - SPAN[level]) | (behind - count < ENOUGH)
    since = int(days[wanted & (behind - count < most)][0])
    share = maturity(cohorts, days, max(tallies.until, tallies.told))[days >= since]
    young = int((share < MATURE).sum())
    return since, f", labels of {young} of {len(share)} days are still coming" if young else ""


def _served(
    place: Workspace, release: Release, like: Table, since: int, labels: Table | None
) -> tuple[Table, Floats]:
    """The labelled rows that a release served from a time on, oldest first, and their scores as logged."""
    log = predictions(place.log, place.store.tables, since=since)
    log = log.take((log.words("release") == release.id) & (log.words("arm") != HELD))
    labels = labels_of(place.log, place.store.tables, served=log, since=since) if labels is None else labels
    known = joined_labels(labels, place.project)
    rows = next_rows(log, known, release.model, like).select(like.schema.names)
    return rows, unbiased(labelled(release.model, log, known)).rows.numbers("score")


def _before(place: Workspace) -> Release | None:
    """The champion before the present one, if it still is on the shelf and holds."""
    stood = history.before(list(history.ledger(place.store)))
    try:
        return find_release(place.releases, stood.release, key=place.key) if stood else None
    except ShipworthyError:
        return None


def _unlearnt(place: Workspace, older: Release, release: Release) -> Side:
    """The champion before on its holdout, without what the present one learnt from.

    Served rows are all taken: they came after both, so that one like a row learnt from is no leak.
    """
    rows, learnt = stored(older)["arrived"], side(place, release).learnt
    fresh = rows if learnt is None else rows.take(~also_in(rows, learnt))
    return Side(older.model, fresh.spread(place.project.watch.replay))


def _otherwise(release: Release, rows: Table, score: Floats) -> Floats:
    """(n,) the loss of each row by the score that was served, less that of the score that the release gives now."""
    model = release.model
    again = model.score(rows)
    if again.ndim != 1 or np.isnan(score).any():  # of many classes only the decided one is logged
        return np.zeros(rows.rows)
    apart = np.abs(score - again) > SAME * np.maximum(1.0, np.abs(again))
    truth = model.truth(rows)
    more = row_losses(score, truth, model.task) - row_losses(again, truth, model.task)
    return np.where(apart, more, 0.0)


def _other_code(place: Workspace, release: Release) -> str:
    """What is to be said where the code that made a release is not the one that runs: it cannot be run again."""
    made, now = release.manifest.identity.code, code_digest(place.registry)
    if made == now:
        return ""
    return (f"; the code that made {release.short} ({made[:12]}) is not at hand, so of code its cleaning and encoders "
            f"take part, run by {now[:12]}")
