"""Predicting era by era: the form of the input, a kill, and the number of eras change nothing."""

import json
import os
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.stats import rankdata

from eraflow.data.footer import BadFeatureValueError, TruncatedFileError
from eraflow.disk.atomic import StorageError
from eraflow.disk.digest import file_sha256
from eraflow.errors import SettingsError
from eraflow.machine.plan import Plan
from eraflow.numerai.submission_csv import BadIdError, DuplicateIdsError, write_submission
from eraflow.rows import csvrows
from models.base.protocol import ConstantPredictionsError
from models.prediction import outputs, resumablefile, stream
from models.prediction.resumablefile import OutputBusyError
from models.prediction.stream import predict_stream
from tests.prediction_files import FEATURES, FORMS, Sums, rows, write

ROOT = Path(__file__).parents[3]
PLAN = Plan(threads=1)


@pytest.fixture(scope="module")
def frame():
    return rows()


@pytest.fixture(scope="module")
def expected(frame, tmp_path_factory):
    """Content of the outputs of an undisturbed prediction, by their ending."""
    folder = tmp_path_factory.mktemp("expected")
    data = write(frame, folder, "parquet")
    for end in ("parquet", "csv"):
        predict_stream(Sums(), data, folder / f"out.{end}", PLAN)
    return {end: (folder / f"out.{end}").read_bytes() for end in ("parquet", "csv")}


@pytest.fixture
def at_every_era(monkeypatch):
    monkeypatch.setattr(resumablefile, "SECONDS_BETWEEN", 0.0)


def leftovers(folder):
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("."))


def eras_done(folder, out):
    return json.loads((folder / f".{out}.part.json").read_text())["state"]["eras"]


# What comes out.


def test_parquet_holds_the_predictions_as_they_are(frame, tmp_path):
    predictor = Sums()
    done = predict_stream(predictor, write(frame, tmp_path, "parquet"), tmp_path / "out.parquet", PLAN)
    found = pl.read_parquet(tmp_path / "out.parquet")
    assert done.items() >= {"rows": frame.height, "eras": 6, "resumed_from": None}.items()
    assert found.select("id", "era").equals(frame.select("id", "era"))
    x = frame.select(FEATURES).to_numpy()
    np.testing.assert_array_equal(found["prediction"].to_numpy(), predictor.predict_members(x).sum(axis=1))
    assert leftovers(tmp_path) == []


def test_a_csv_holds_each_era_as_its_own_submission(frame, tmp_path):
    predict_stream(Sums(), write(frame, tmp_path, "parquet"), tmp_path / "out.csv", PLAN)
    values = Sums().predict_members(frame.select(FEATURES).to_numpy()).sum(axis=1)
    parts = []
    for era in frame["era"].unique().sort():
        here = (frame["era"] == era).to_numpy()
        write_submission(frame["id"].filter(here).to_list(), values[here], tmp_path / "era.csv")
        parts.append((tmp_path / "era.csv").read_bytes().split(b"\n", 1))
        ranks = (rankdata(values[here]) - 0.5) / here.sum()
        lines = dict(line.split(b",") for line in parts[-1][1].splitlines())
        assert [float(lines[name.encode()]) for name in frame["id"].filter(here)] == pytest.approx(ranks, abs=1e-10)
    expected = b"id,prediction\n" + b"".join(lines for _, lines in parts)
    assert (tmp_path / "out.csv").read_bytes() == expected


@pytest.mark.parametrize("end", ["parquet", "csv"])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_and_any_tile_give_the_same_bytes(frame, expected, tmp_path, monkeypatch, form, end):
    monkeypatch.setattr(csvrows, "BLOCK_BYTES", 700)
    data = write(frame, tmp_path, form)
    for rows_in_memory in (9, 10_000):
        plan = Plan(threads=1, rows_in_memory=rows_in_memory)
        predict_stream(Sums(), data, tmp_path / f"out.{end}", plan)
        assert (tmp_path / f"out.{end}").read_bytes() == expected[end]


def test_a_predictor_gets_the_features_of_the_whole_era_when_it_asks(frame, tmp_path):
    data = write(frame, tmp_path, "csv")
    for rows_in_memory in (9, 10_000):
        plan = Plan(threads=1, rows_in_memory=rows_in_memory)
        predict_stream(Sums(keeps_codes=True), data, tmp_path / "out.parquet", plan)
        x = frame.select(FEATURES).to_numpy().astype(np.int64)
        values = Sums().predict_members(frame.select(FEATURES).to_numpy()).sum(axis=1) + x.sum(axis=1)
        np.testing.assert_array_equal(pl.read_parquet(tmp_path / "out.parquet")["prediction"], values)


@pytest.mark.parametrize("form", ["parquet", "csv.xz"])
def test_no_rows_give_an_output_without_rows(frame, tmp_path, form):
    data = write(frame.clear(), tmp_path, form)
    assert predict_stream(Sums(), data, tmp_path / "out.csv", PLAN)["rows"] == 0
    assert (tmp_path / "out.csv").read_bytes() == b"id,prediction\n"
    predict_stream(Sums(), data, tmp_path / "out.parquet", PLAN)
    assert pl.read_parquet(tmp_path / "out.parquet").schema == {
        "id": pl.String,
        "era": pl.String,
        "prediction": pl.Float64,
    }


def test_eras_are_gathered_into_row_groups(frame, tmp_path, monkeypatch):
    monkeypatch.setattr(outputs, "GROUP_ROWS", 100)
    predict_stream(Sums(), write(frame, tmp_path, "parquet"), tmp_path / "out.parquet", PLAN)
    found = pl.read_parquet(tmp_path / "out.parquet")
    assert found["id"].to_list() == frame["id"].to_list()


def test_progress_is_told_without_a_second_reading(frame, tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr(stream, "report", lambda *progress: told.append(progress))
    monkeypatch.setattr(csvrows, "BLOCK_BYTES", 700)
    for form in ("one.parquet", "csv.gz"):
        told.clear()
        data = write(frame, tmp_path, form)
        predict_stream(Sums(), data, tmp_path / "out.csv", PLAN)
        total = frame.height if form == "one.parquet" else data.stat().st_size
        assert {each[1] for each in told} == {total}
        assert all(before[0] <= after[0] for before, after in pairwise(told))
        assert told[-1][0] == total


# What goes wrong.


def test_bad_rows_leave_nothing_behind(frame, tmp_path, at_every_era):
    bad = frame.with_columns(pl.when(pl.col("era") == "0005").then(7).otherwise(pl.col(FEATURES[0])).alias(FEATURES[0]))
    with pytest.raises(BadFeatureValueError, match="era 0005"):
        predict_stream(Sums(), write(bad, tmp_path, "csv"), tmp_path / "out.csv", PLAN)
    cut = write(frame, tmp_path, "csv.gz")
    cut.write_bytes(cut.read_bytes()[:-200])
    with pytest.raises(TruncatedFileError):
        predict_stream(Sums(), cut, tmp_path / "out.csv", PLAN)
    assert not (tmp_path / "out.csv").exists()
    assert leftovers(tmp_path) == []


def test_a_member_that_says_nothing_is_named(frame, tmp_path):
    flat = frame.with_columns(pl.lit(1, pl.Int8).alias(name) for name in FEATURES)
    with pytest.raises(ConstantPredictionsError, match="rising"):
        predict_stream(Sums(), write(flat, tmp_path, "parquet"), tmp_path / "out.csv", PLAN)
    one_era = flat.filter(pl.col("era") == "0001")
    others = frame.filter(pl.col("era") != "0001")
    predict_stream(Sums(), write(pl.concat([one_era, others]), tmp_path, "parquet"), tmp_path / "out.csv", PLAN)


@pytest.mark.parametrize("at_once", [1 << 20, 50])
def test_an_id_that_occurs_twice_is_named_in_one_era_or_two(frame, tmp_path, monkeypatch, at_once):
    monkeypatch.setattr(outputs, "IDS_AT_ONCE", at_once)
    monkeypatch.setattr(outputs, "READ_BYTES", 300)
    first = frame["id"][0]
    for row in (5, 200):
        names = frame["id"].to_list()
        names[row] = first
        data = write(frame.with_columns(pl.Series("id", names)), tmp_path, "parquet")
        with pytest.raises(DuplicateIdsError, match=first):
            predict_stream(Sums(), data, tmp_path / "out.csv", PLAN)
    data = write(frame.with_columns(pl.Series("id", ["007", *frame["id"][1:]])), tmp_path, "parquet")
    with pytest.raises(BadIdError, match="007"):
        predict_stream(Sums(), data, tmp_path / "out.csv", PLAN)


def test_the_data_are_never_written_over(frame, tmp_path):
    data = write(frame, tmp_path, "csv")
    digest = file_sha256(data)
    with pytest.raises(SettingsError):
        predict_stream(Sums(), data, data, PLAN)
    assert file_sha256(data) == digest


# Resuming.

KILLED = """
import os, signal, sys
from pathlib import Path
from eraflow.errors import SettingsError
from eraflow.machine.plan import Plan
from models.prediction import resumablefile
from models.prediction.stream import predict_stream
from tests.prediction_files import Sums

def kill(era):
    if era == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)

resumablefile.SECONDS_BETWEEN = 0.0
predict_stream(Sums(before_era=kill), Path(sys.argv[1]), Path(sys.argv[2]), Plan(threads=1))
"""


@pytest.mark.parametrize(("form", "end"), [("one.parquet", "csv"), ("csv.gz", "parquet"), ("csv", "csv")])
def test_after_a_kill_it_goes_on_to_the_same_bytes(frame, expected, tmp_path, form, end):
    data, out = write(frame, tmp_path, form), tmp_path / f"out.{end}"
    dead = subprocess.run([sys.executable, "-c", KILLED, str(data), str(out), "4"], cwd=ROOT, check=False)
    assert dead.returncode == -signal.SIGKILL
    assert not out.exists()
    assert eras_done(tmp_path, out.name) == 4
    predictor = Sums()
    done = predict_stream(predictor, data, out, PLAN)
    assert len(predictor.finished) == 2
    assert done.items() >= {"rows": frame.height, "eras": 6, "resumed_from": 40 + 41 + 42 + 43}.items()
    assert out.read_bytes() == expected[end]
    assert leftovers(tmp_path) == []


def interrupted(data, out, after, **over):
    """A prediction that ends by Ctrl-C when some eras are done."""

    def stop(era):
        if era == after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict_stream(Sums(before_era=stop, **over), data, out, PLAN)


def test_what_a_kill_left_of_the_last_step_is_removed_and_nothing_else(frame, expected, tmp_path):
    data, out = write(frame, tmp_path, "parquet"), tmp_path / "out.parquet"
    killed, another = tmp_path / ".out.parquet.1a2b3c4d.tmp", tmp_path / ".out.csv.1a2b3c4d.tmp"
    for path in (killed, another):
        path.write_bytes(b"PAR1")
    predict_stream(Sums(), data, out, PLAN)
    assert out.read_bytes() == expected["parquet"]
    assert not killed.exists()
    assert another.exists()


def test_it_goes_on_from_any_era_and_more_than_once(frame, expected, tmp_path, at_every_era):
    for end in ("parquet", "csv"):
        for after in range(6):
            data, out = write(frame, tmp_path, "csv.xz"), tmp_path / f"out.{end}"
            interrupted(data, out, after)
            interrupted(data, out, min(1, 5 - after))
            predictor = Sums()
            predict_stream(predictor, data, out, PLAN)
            assert len(predictor.finished) == 6 - after - min(1, 5 - after)
            assert out.read_bytes() == expected[end]


def test_the_leftover_of_something_else_is_not_continued(frame, expected, tmp_path, at_every_era):
    data, out = write(frame, tmp_path, "parquet"), tmp_path / "out.csv"

    def after(change, predictor=None):
        interrupted(data, out, 4)
        change()
        predictor = predictor or Sums()
        done = predict_stream(predictor, data, out, PLAN)
        assert len(predictor.finished) == 6
        assert done["resumed_from"] is None
        assert out.read_bytes() == expected["csv"]

    part, side = tmp_path / ".out.csv.part", tmp_path / ".out.csv.part.json"

    def flip():
        content = bytearray(part.read_bytes())
        content[40] ^= 1
        part.write_bytes(content)

    after(lambda: os.utime(data, (1, 1)))
    after(lambda: None, Sums(signature="another"))
    after(flip)
    after(lambda: part.write_bytes(part.read_bytes()[:-1]))
    after(part.unlink)
    after(side.unlink)
    after(lambda: side.write_text("{"))


def test_what_was_written_behind_the_last_note_is_cut_off(frame, expected, tmp_path, at_every_era):
    data, out = write(frame, tmp_path, "parquet"), tmp_path / "out.csv"
    interrupted(data, out, 4)
    with (tmp_path / ".out.csv.part").open("ab") as file:
        file.write(b"n00000000")
    assert predict_stream(Sums(), data, out, PLAN)["resumed_from"] == 166
    assert out.read_bytes() == expected["csv"]


def test_two_at_once_do_not_write_one_output(frame, tmp_path):
    data, out = write(frame, tmp_path, "parquet"), tmp_path / "out.csv"

    def second(era):
        if era == 2:
            with pytest.raises(OutputBusyError):
                predict_stream(Sums(), data, out, PLAN)

    predict_stream(Sums(before_era=second), data, out, PLAN)
    digest = file_sha256(out)
    predict_stream(Sums(), data, out, PLAN)
    assert file_sha256(out) == digest


@pytest.mark.parametrize("name", ["out.csv.gz", "out.txt", "out"])
def test_an_output_that_would_not_be_what_its_name_says_is_refused(frame, tmp_path, name):
    with pytest.raises(SettingsError, match=r"neither in \.csv nor in \.parquet"):
        predict_stream(Sums(), write(frame, tmp_path, "csv"), tmp_path / name, PLAN)


def test_a_folder_in_place_of_the_output_is_found_before_the_work(frame, tmp_path):
    (tmp_path / "out.csv").mkdir()
    predictor = Sums()
    with pytest.raises(StorageError, match="it is a folder"):
        predict_stream(predictor, write(frame, tmp_path, "csv"), tmp_path / "out.csv", PLAN)
    assert predictor.finished == []
    assert leftovers(tmp_path) == []
