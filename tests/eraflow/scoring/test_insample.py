"""Predictions carry what their models learned from, and eras that flatter are told apart."""

import gzip
import json
import lzma

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eraflow.scoring.insample import (
    OUT_OF_FOLD,
    UNKNOWN,
    Learned,
    Origin,
    origin_of,
    read_learned,
    write_learned,
)
from eraflow.scoring.originfile import origin_of_file, write_side
from models.prediction.outputs import output_for
from models.prediction.stream import predict_stream
from tests.models.prediction.test_stream import PLAN
from tests.prediction_files import Sums, rows, write

numbers = st.lists(st.integers(0, 60), min_size=1, max_size=20, unique=True).map(sorted)


@given(numbers, st.integers(0, 9), st.integers(0, 9), st.integers(0, 70))
def test_an_era_is_out_of_sample_only_where_no_label_can_overlap(learned, own, scored, era):
    found = Learned(tuple(learned), own).standing(era, scored)
    clean = all(era - other > own if era > other else other - era > scored for other in learned if other != era)
    assert found == ("learned" if era in learned else "out of sample" if clean else "overlapping")


@given(st.lists(st.tuples(numbers, st.integers(0, 20)), min_size=1, max_size=3), st.booleans())
def test_an_origin_is_read_back_as_it_was_written(members, kept):
    learned = tuple(Learned(tuple(eras), weeks) for eras, weeks in members)
    origin = Origin(members=learned, oof_file="x" if kept else None)
    assert Origin.from_dict(json.loads(origin.as_metadata()["eraflow"])) == origin
    worst = [member.standing(30, origin.purge_weeks) for member in origin.members]
    order = ["learned", "overlapping", "out of sample"]
    assert origin.standing("0030") == min(worst, key=order.index)
    assert origin.standing("X") == "out of sample"


def test_an_ensemble_is_known_only_when_each_of_its_models_tells(tmp_path):
    write_learned(tmp_path / "a", ["0002", "0001", "0009"], 8)
    assert read_learned(tmp_path / "a") == Learned((1, 2, 9), 8)
    assert origin_of([tmp_path / "a"]).known
    assert not origin_of([tmp_path / "a", tmp_path / "b"]).known
    assert not origin_of([]).known
    endless = '{"format": 1, "eras": ["0001-99999999999"], "purge_weeks": 8}'
    for text in ("{}", "[]", "null", "\x00", endless, "[" * 10**5):
        (tmp_path / "a" / "learned.json").write_text(text)
        assert read_learned(tmp_path / "a") is None


ORIGIN = Origin(members=(Learned((1, 2, 3), 1),), oof_file="/there/oof.parquet")


@pytest.mark.parametrize("name", ["mine.csv", "mine [1] #.csv", "mine.parquet"])
def test_predictions_carry_it_wherever_they_go(tmp_path, name):
    out = tmp_path / "here" / name
    done = predict_stream(Sums(), write(rows(), tmp_path, "csv"), out, PLAN, origin=ORIGIN)
    assert done["in_sample"] == {"learned": 3, "overlapping": 1, "first_era": "0001", "last_era": "0004"}
    assert (done["origin_known"], done["oof_file"]) == (True, ORIGIN.oof_file)
    assert origin_of_file(out) == ORIGIN
    other = out.rename(out.with_name(f"renamed*{out.suffix}"))
    assert origin_of_file(other) == ORIGIN
    moved = tmp_path / "elsewhere"
    out.parent.rename(moved)
    assert origin_of_file(moved / other.name) == ORIGIN
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "link").symlink_to(moved / other.name)
    assert origin_of_file(tmp_path / "linked" / "link") == ORIGIN
    alone = (moved / other.name).rename(tmp_path / "alone")
    assert origin_of_file(alone) == (ORIGIN if name.endswith("parquet") else UNKNOWN)


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress])
def test_a_csv_that_was_packed_is_known_and_one_that_was_changed_is_not(tmp_path, pack):
    out = tmp_path / "mine.csv"
    predict_stream(Sums(), write(rows(), tmp_path, "csv"), out, PLAN, origin=ORIGIN)
    (tmp_path / "other.gz").write_bytes(pack(out.read_bytes()))
    assert origin_of_file(tmp_path / "other.gz") == ORIGIN
    (tmp_path / "copy.csv").write_bytes(out.read_bytes())
    out.write_text("id,prediction\nn1,0.5\n")
    assert origin_of_file(out) == UNKNOWN
    assert origin_of_file(tmp_path / "copy.csv") == ORIGIN


def test_notes_that_cannot_be_read_make_nothing_known(tmp_path):
    out = tmp_path / "mine.csv"
    out.write_text("id,prediction\n")
    side = write_side(out, out, OUT_OF_FOLD)
    assert origin_of_file(out) == OUT_OF_FOLD
    for text in ("", "[]", '{"sha256": 1}', side.read_text().replace('"format": 1', '"format": 2')):
        side.write_text(text)
        assert origin_of_file(out) == UNKNOWN
    side.unlink()
    side.mkdir()
    assert origin_of_file(out) == UNKNOWN
    for text in ("", "{}", "[1]"):
        pl.DataFrame({"id": ["a"]}).write_parquet(tmp_path / "x", metadata={"eraflow": text})
        assert origin_of_file(tmp_path / "x") == UNKNOWN


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_another_origin_is_not_continued(tmp_path, form):
    class Stopped(Exception):
        pass

    def stop(era):
        if era == 3:
            raise Stopped

    out, data = tmp_path / f"out.{form}", write(rows(), tmp_path, "csv")
    output_for(out, ORIGIN)
    for origin in (ORIGIN, Origin(members=(Learned((5,), 1),))):
        with pytest.raises(Stopped):
            predict_stream(Sums(before_era=stop), data, out, PLAN, origin=ORIGIN)
        predict_stream(Sums(), data, out, PLAN, origin=origin)
        assert origin_of_file(out) == origin
