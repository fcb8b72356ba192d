"""A week trains what is new: folds of earlier weeks are found, with the bytes that they would have now."""

from __future__ import annotations

import logging
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from eraflow.data.eras import Window
from eraflow.data.memberbag import Bag, FeatureSet, FitRecipe
from models.training.folds import make_fold
from models.training.job import ImportanceSample, KeptFolds
from models.training.train import train_model
from tests.models.conftest import member, training
from tests.models.planted import FAST, PLAN, TARGET, Planted, plant

IMPORTANCE = ImportanceSample(TARGET, 40)
PURGE = 8


def window(index: int, first: int, last: int) -> Window:
    train = tuple(f"{era:04d}" for era in range(1, first - PURGE))
    return Window(index, train, tuple(f"{era:04d}" for era in range(first, last + 1)), PURGE)


WEEKS = {
    "60": (60, (window(0, 37, 48), window(1, 49, 60))),
    "61": (61, (window(0, 37, 48), window(1, 49, 61))),
    "66": (66, (window(0, 49, 60), window(1, 61, 66))),  # a new block has begun, the oldest has fallen off
}


@pytest.fixture(scope="module")
def planted() -> Planted:
    return plant(eras=66, rows=60)


def first_eras(planted: Planted, count: int) -> Planted:
    return Planted(*(array[planted.era <= count] for array in (planted.x, planted.y, planted.era)))


class Home:
    """Weeks of one home, each in a run folder of its own."""

    def __init__(self, path: Path, planted: Planted) -> None:
        self.path, self.planted = path, planted
        self.kept = KeptFolds(path / "folds", "the code", 100)

    def week(self, name, kind="lightgbm", *, planted=None, kept=None, out=None, **over):
        eras, windows = WEEKS[name]
        out = self.path / (out or f"{name}-{kind}")
        store = first_eras(planted or self.planted, eras).store(out.with_suffix(".store"))
        usual = {"windows": windows, "folds": kept or self.kept, "importance": IMPORTANCE}
        job = training(store, out, member(kind, **over.pop("params", {})), **{**usual, **over})
        return out, train_model(**job)

    def plainly(self, name, kind="lightgbm"):
        """The week from nothing."""
        out = self.path / f"{name}-{kind}-plain"
        eras, windows = WEEKS[name]
        store = first_eras(self.planted, eras).store(out.with_suffix(".store"))
        return out, train_model(**training(store, out, member(kind), windows=windows, importance=IMPORTANCE))


@pytest.fixture
def home(tmp_path, planted):
    return Home(tmp_path, planted)


def content(out: Path) -> dict[str, bytes]:
    """Everything that a stage made, but what its folds note of themselves."""
    files = (path for path in sorted(out.rglob("*")) if path.is_file() and not path.match("fold-*.json"))
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in files}


@pytest.mark.parametrize("kind", ["lightgbm", "xgboost", "catboost", "mlp"])
def test_later_weeks_have_the_bytes_of_weeks_from_nothing(home, kind):
    if kind == "mlp":
        pytest.importorskip("torch")
    later = ("66",) if kind == "mlp" else ("61", "66")
    found = [home.week(name, kind)[1] for name in ("60", *later)]
    assert [week["folds_kept"] for week in found] == [0, *(1 for _ in later)]
    assert [week["seconds_saved"] > 0 for week in found] == [False, *(True for _ in later)]
    for name in later:
        plain, told = home.plainly(name, kind)
        assert told["folds_kept"] == 0
        made = content(plain)
        assert content(home.path / f"{name}-{kind}") == made
        assert {"importance-0.parquet", "oof.parquet", "fold-1.parquet"} <= set(made)
        assert ("learning-0.csv" in made) == (kind == "mlp")


def test_a_bag_is_kept_as_a_whole_and_another_bag_is_another_fold(home):
    recipes = (FitRecipe(FAST), FitRecipe(FAST, 2))
    bag, other = (Bag(recipes[:count], (FeatureSet("run"),)) for count in (2, 1))
    home.week("60", bag=bag)
    assert home.week("60", out="other", bag=other)[1]["folds_kept"] == 0
    out, told = home.week("61", bag=bag)
    assert told["folds_kept"] == 1
    plain, _ = home.week("61", out="plain", bag=bag, kept=replace(home.kept, folder=home.path / "elsewhere"))
    assert content(out) == content(plain)


def test_a_fold_that_was_found_is_told_of_by_a_later_attempt_too(home):
    home.week("60")
    first = home.week("61")[1]
    again = home.week("61")[1]
    assert (first["folds_reused"], again["folds_reused"]) == (0, 2)
    assert [again[key] for key in ("folds_kept", "seconds_saved")] == [
        first[key] for key in ("folds_kept", "seconds_saved")
    ]


def revised(planted: Planted, era: int, what: str) -> Planted:
    x, y = planted.x.copy(), planted.y.copy()
    row = int(np.flatnonzero(planted.era == era)[0])
    if what == "target":
        y[row] = 1 - y[row] if y[row] != 0.5 else 0.25
    else:
        x[row, 3] = (x[row, 3] + 1) % 5
    return replace(planted, x=x, y=y)


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        ({}, 2),
        ({"params": {"num_leaves": 5}}, 0),
        ({"seed": 8}, 0),
        ({"final_eras": ("0001", "0002", "0003", "0004")}, 2),
        ({"plan": replace(PLAN, threads=2)}, 2),
        ({"plan": replace(PLAN, work_factor=0.5)}, 0),
        ({"importance": ImportanceSample(TARGET, 20)}, 0),
        ({"kept": KeptFolds(Path(), "other code", 100)}, 0),
        ({"revised": (20, "target")}, 0),
        ({"revised": (20, "feature")}, 0),
        ({"revised": (33, "target")}, 1),  # the first fold does not learn from it
        ({"revised": (50, "feature")}, 1),  # the second fold predicts it
    ],
    ids=str,
)
def test_what_decides_a_fold_is_in_its_name_and_nothing_else_is(home, change, kept):
    home.week("60")
    change = dict(change)
    if "kept" in change:
        change["kept"] = replace(change["kept"], folder=home.kept.folder)
    if "revised" in change:
        change["planted"] = revised(home.planted, *change.pop("revised"))
    assert home.week("60", out="another", **change)[1]["folds_kept"] == kept


@pytest.mark.parametrize("damage", ["predictions", "importance", "gone", "note", "no note"])
def test_a_damaged_fold_is_told_of_and_made_anew(home, damage, caplog):
    first = content(home.week("60")[0])
    for entry in (home.kept.folder).glob("*/"):
        if damage in ("predictions", "importance"):
            path = entry / f"{damage}.parquet"
            path.write_bytes(path.read_bytes()[:-9] + b"z" * 9)
        elif damage == "gone":
            (entry / "importance.parquet").unlink()
        elif damage == "note":
            (entry / "fold.json").write_text('{"files": 3')
        else:
            (entry / "fold.json").unlink()
    with caplog.at_level(logging.WARNING):
        out, told = home.week("60", out="again")
    assert told["folds_kept"] == 0
    assert caplog.text.count("cannot be used and is trained anew") == 2
    assert content(out) == first
    assert home.week("60", out="then")[1]["folds_kept"] == 2  # and is whole again


def test_what_cannot_be_kept_costs_the_week_nothing(home, caplog):
    (home.path / "folds").write_text("a file where the folder would be")
    with caplog.at_level(logging.WARNING):
        told = home.week("60")[1]
    assert told["folds_kept"] == 0
    assert "not kept" in caplog.text
    assert (home.path / "folds").read_text() == "a file where the folder would be"


def test_a_full_disk_costs_the_keeping(home, caplog, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("models.training.foldstore.shutil.copyfile", full)
    with caplog.at_level(logging.WARNING):
        told = home.week("60")[1]
    assert (told["folds"], told["folds_kept"]) == (2, 0)
    assert "is not kept" in caplog.text
    assert [path.name for path in home.kept.folder.iterdir() if path.is_dir()] == []


def test_a_fold_that_fails_leaves_nothing_behind_and_lets_the_next_one_in(home, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("models.training.folds.make_fold", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            home.week("60")
    assert list(home.kept.folder.glob("*/")) == []
    assert home.week("60", out="then")[1]["folds_kept"] == 0


def test_of_two_runs_at_once_one_trains_and_the_other_waits(home, monkeypatch):
    made, began = [], threading.Event()

    def slowly(trainer, position, progress):
        made.append(position)
        began.set()
        return make_fold(trainer, position, progress)

    monkeypatch.setattr("models.training.folds.make_fold", slowly)
    results = {}
    threads = [
        threading.Thread(target=lambda name=name: results.update({name: home.week("60", out=name)})) for name in "ab"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(made) == [0, 1]
    assert content(results["a"][0]) == content(results["b"][0])
