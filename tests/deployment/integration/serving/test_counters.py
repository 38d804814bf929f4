"""The board of counters: what each worker counts, whose cells are whose, and the text of all of them."""

from __future__ import annotations

import tempfile

from shipworthy.deployment.integration.serving.counters import (
    FAILED,
    IN_PROGRESS,
    LABELS,
    RELEASES,
    ROWS,
    Board,
    spent,
    timed,
)

from .exposition import families


def release(n: int) -> str:
    return f"{n + 1:064x}"[::-1]


def rows(board: Board) -> dict[str, int]:
    """Release → rows answered, by the number that `release` was given."""
    known = {release(n)[:16]: n for n in range(12)}
    return {known[name]: cells[ROWS] for name, cells in board.totals()[1].items()}


def test_what_every_worker_counts_is_added_up() -> None:
    board = Board(3)
    for worker in range(3):
        own = board.counters(worker)
        own.general[LABELS] += worker + 1
        own.done("predict", 200)
        for n in range(worker + 1):
            own.release(release(n))[ROWS] += 10
    general, _ = board.totals()
    assert general[LABELS] == 6
    assert rows(board) == {0: 30, 1: 20, 2: 10}
    assert families(board.text())["rest_server_requests"].samples == {
        ("rest_server_requests", (("path", "predict"), ("status_code", "200"))): 3.0}


def test_processes_that_share_a_file_share_the_board() -> None:
    with tempfile.TemporaryFile() as file:
        file.truncate(Board.size(2))
        one, other = Board(2, file.fileno()), Board(2, file.fileno())
        one.counters(0).release(release(0))[ROWS] += 1
        other.counters(1).release(release(0))[ROWS] += 2
        assert rows(one) == rows(other) == {0: 3}


def test_a_worker_that_starts_again_goes_on_counting_and_takes_no_cells_of_another_release() -> None:
    board = Board(2)
    board.counters(1).release(release(0))[ROWS] = 5
    board.counters(0).general[IN_PROGRESS] = 3
    again = board.counters(0)
    champion = again.release(release(0))
    champion[ROWS] += 7
    challenger = again.release(release(1))
    challenger[ROWS] += 2
    timed(challenger, 0.001)
    assert again.general[IN_PROGRESS] == 0
    again = board.counters(0)
    champion, challenger = again.release(release(0)), again.release(release(1))
    other = again.release(release(2))
    other[FAILED] += 1
    assert rows(board) == {0: 12, 1: 2, 2: 0}
    assert [spent(each)[0] for each in (champion, challenger, other)] == [0, 0, 1]
    assert [sum(spent(each)[1]) for each in (champion, challenger, other)] == [0, 1, 0]


def test_the_ninth_release_takes_the_cells_of_the_one_that_was_let_go_and_asked_for_longest_ago() -> None:
    own = (board := Board()).counters()
    for n in range(RELEASES):
        own.release(release(n))[ROWS] = n + 1
    for n in (1, 2, 3):
        own.let_go(release(n))
    own.release(release(1))
    own.let_go(release(1))
    assert own.release(release(8))[ROWS] == 0
    assert sorted(rows(board)) == [0, 1, 3, 4, 5, 6, 7, 8]


def test_the_cells_of_a_release_that_answers_are_never_given_away() -> None:
    own = (board := Board()).counters()
    live = own.release(release(0))
    for n in range(1, 12):
        own.release(release(n))[ROWS] += 1
        own.let_go(release(n))
    live[ROWS] += 4
    assert rows(board)[0] == 4
    assert len(rows(board)) == RELEASES


def test_cells_stay_until_each_who_asked_for_them_let_them_go() -> None:
    own = Board().counters()
    live = own.release(release(0))
    own.release(release(0))
    own.let_go(release(0))
    for n in range(1, 12):
        own.release(release(n))
        own.let_go(release(n))
    live[ROWS] += 1
    assert own.release(release(0))[ROWS] == 1


def test_cells_of_an_earlier_process_are_given_away_before_those_of_this_one() -> None:
    board = Board()
    before = board.counters()
    for n in range(RELEASES):
        before.release(release(n))
    own = board.counters()
    own.release(release(0))
    own.let_go(release(0))
    own.release(release(8))
    assert sorted(rows(board)) == [0, 2, 3, 4, 5, 6, 7, 8]


def test_where_every_cell_is_held_a_release_is_counted_beside_the_board() -> None:
    own = (board := Board()).counters()
    for n in range(RELEASES):
        own.release(release(n))[ROWS] = 1
    beside = own.release(release(8))
    beside[ROWS] += 5
    timed(beside, 0.002)
    assert rows(board) == dict.fromkeys(range(RELEASES), 1)
    assert sum(spent(beside)[1]) == 1


def test_the_text_of_a_full_board_is_read_strictly() -> None:
    board = Board(2)
    for worker in range(2):
        own = board.counters(worker)
        for n in range(9):
            cells = own.release(release(n))
            cells[ROWS] += 1
            timed(cells, 10.0**-n)
            own.let_go(release(n))
    found = families(board.text())
    assert set(found["shipworthy_predictions_total"].samples.values()) == {2.0}
    times = found["rest_server_requests_duration_seconds"].samples
    assert [value for (name, _), value in times.items() if name.endswith("_count")] == [2.0] * RELEASES
