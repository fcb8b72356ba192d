"""Every value that was told stays, told again it adds nothing, and a process that dies loses nothing."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eraflow.livescores import store
from eraflow.livescores.store import rounds_to_ask, slot_scores, slots_with_scores
from eraflow.numerai.livescores import ScoreRow

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)


def row(number=1404, day=1, value=0.01, name="corr60", submission="a", resolved=False, percentile=None):
    return ScoreRow(
        submissionId=submission,
        roundNumber=number,
        displayName=name,
        day=day,
        date=(NOW + timedelta(days=day)).isoformat(),
        value=value,
        percentile=percentile,
        resolved=resolved,
    )


def test_what_is_told_again_adds_nothing_and_a_revision_keeps_the_value_before(tmp_path):
    slot = slot_scores(tmp_path, "numerai", "slot-1", "mine")
    assert slot.add([row(), row(day=2)], NOW) == 2
    written = (slot.folder / store.SCORES).read_bytes()
    assert slot.add([row(), row(day=2), row()], NOW + timedelta(days=1)) == 0
    assert (slot.folder / store.SCORES).read_bytes() == written
    assert slot.add([row(value=0.02)], NOW + timedelta(days=2)) == 1
    assert slot.rows().filter(pl.col("day") == 1)["value"].to_list() == [0.01, 0.02]
    assert slot.newest().filter(pl.col("day") == 1)["value"].to_list() == [0.02]
    assert [each.name for each in slots_with_scores(tmp_path)] == ["mine"]


def test_a_value_that_is_put_back_is_told_last(tmp_path):
    slot = slot_scores(tmp_path, "numerai", "slot-1")
    for place, value in enumerate((0.1, 0.2, 0.1)):
        assert slot.add([row(value=value)], NOW + timedelta(days=place)) == 1
    assert slot.newest()["value"].to_list() == [0.1]


@settings(deadline=None, max_examples=25)
@given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 4), st.sampled_from([0.1, 0.2, 0.3])), max_size=12))
def test_the_newest_value_of_each_day_is_the_one_told_last(tmp_path_factory, told):
    slot = slot_scores(tmp_path_factory.mktemp("home"), "numerai", "slot-1")
    for place, (number, day, value) in enumerate(told):
        slot.add([row(number=number, day=day, value=value)], NOW + timedelta(days=place))
    expected = {(number, day): value for number, day, value in told}
    assert {(each["round"], each["day"]): each["value"] for each in slot.newest().iter_rows(named=True)} == expected


def test_a_process_that_dies_while_it_writes_leaves_what_was_kept(tmp_path, monkeypatch):
    slot = slot_scores(tmp_path, "numerai", "slot-1")
    slot.add([row()], NOW)

    def killed(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(pl.DataFrame, "write_parquet", killed)
        with pytest.raises(KeyboardInterrupt):
            slot.add([row(day=2)], NOW)
    assert slot.rows()["day"].to_list() == [1]
    assert slot.add([row(), row(day=2)], NOW) == 1


def test_a_slot_whose_id_is_no_plain_name_stays_in_its_home(tmp_path):
    slot = slot_scores(tmp_path, "numerai", "../../../etc/cron")
    slot.add([row()], NOW)
    assert slot.folder.resolve().is_relative_to(tmp_path / store.FOLDER)


def test_rounds_that_may_still_change_are_asked_for(tmp_path):
    slot = slot_scores(tmp_path, "numerai", "slot-1")
    assert rounds_to_ask(slot.newest(), 10) is None
    slot.add([row(number=number, day=60, resolved=number < 1400) for number in range(1390, 1411)], NOW)
    assert rounds_to_ask(slot.newest(), 10) == 1410 - 1400 + 1 + 10
