"""Bases are trained once: found again in later windows and weeks, made anew where they are damaged or too old."""

from __future__ import annotations

import logging
import threading
import time

import numpy as np
import pytest

from models.networks.basestore import BaseStore
from tests.models.networks.adaptedfits import adapt, digest, world

pytest.importorskip("torch")
pytest.importorskip("peft")

QUICK = {"updates": 16, "lora_updates": 8}


@pytest.fixture(scope="module")
def planted():
    return world(eras=90)


def first_eras(planted, count):
    return type(planted)(*(array[planted.era <= count] for array in (planted.x, planted.y, planted.era)))


@pytest.fixture(scope="module")
def plain(planted):
    """Without a store."""
    return adapt(first_eras(planted, 60), **QUICK)


def entries(folder):
    return sorted(path.parent for path in folder.glob("*/base.json"))


def test_later_weeks_go_on_with_the_base_until_it_is_too_old(planted, plain, tmp_path):
    weeks = [adapt(first_eras(planted, count), folder=tmp_path, **QUICK) for count in (60, 61, 64, 90)]
    assert [model.adaptation_told["base_reused"] for model in weeks] == [False, True, True, False]
    assert [model.adaptation["base_last_era"] for model in weeks] == ["0024", "0024", "0024", "0048"]
    assert [model.adaptation["age_eras"] for model in weeks] == [36, 37, 40, 42]
    assert len({model.adaptation["base"] for model in weeks[:3]}) == 1
    assert len(entries(tmp_path)) == 2
    assert (digest(weeks[0]), weeks[0].adaptation) == (digest(plain), plain.adaptation)


@pytest.mark.parametrize("damage", ["weights", "weights gone", "description", "note", "nothing but the note"])
def test_a_damaged_base_is_told_of_and_trained_anew(planted, plain, tmp_path, damage, caplog):
    few = first_eras(planted, 60)
    adapt(few, folder=tmp_path, **QUICK)
    (entry,) = entries(tmp_path)
    whole = {path.name: path.read_bytes() for path in entry.iterdir()}
    if damage == "weights":
        (entry / "weights.npy").write_bytes(whole["weights.npy"][:-3] + b"abc")
    elif damage == "weights gone":
        (entry / "weights.npy").unlink()
    elif damage == "description":
        (entry / "model.json").write_bytes(whole["model.json"].replace(b'"target_scale": ', b'"target_scale": 1'))
    elif damage == "note":
        (entry / "base.json").write_text("{")
    else:
        (entry / "model.json").unlink()
    with caplog.at_level(logging.WARNING, "eraflow.bases"):
        model = adapt(few, folder=tmp_path, **QUICK)
    assert "is damaged and is trained anew" in caplog.text
    assert not model.adaptation_told["base_reused"]
    assert digest(model) == digest(plain)
    assert {path.name: path.read_bytes() for path in entry.iterdir()} == whole


def test_a_process_that_dies_while_it_writes_leaves_nothing_that_looks_whole(planted, plain, tmp_path, monkeypatch):
    few = first_eras(planted, 60)

    def dying(path, value):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("models.networks.basestore.write_json", dying)
        patch.setattr("eraflow.disk.keptentries.shutil.rmtree", lambda *_, **__: None)  # a kill cleans up nothing
        with pytest.raises(KeyboardInterrupt):
            adapt(few, folder=tmp_path, **QUICK)
    assert entries(tmp_path) == []
    assert list(tmp_path.glob(".*.tmp"))
    model = adapt(few, folder=tmp_path, **QUICK)
    assert digest(model) == digest(plain)
    assert len(entries(tmp_path)) == 1
    assert not list(tmp_path.glob(".*.tmp"))


@pytest.mark.parametrize("change", ["params", "code", "data", "seed of the fit"])
def test_everything_that_decides_a_base_names_it(planted, plain, tmp_path, change):
    few = first_eras(planted, 60)
    adapt(few, folder=tmp_path, **QUICK)
    if change == "params":
        again = adapt(few, folder=tmp_path, **{**QUICK, "dropout": 0.2})
    elif change == "code":
        again = adapt(few, folder=tmp_path, code="another", **QUICK)
    elif change == "data":
        x = few.x.copy()
        x[0, 0] = (x[0, 0] + 1) % 5
        again = adapt(type(few)(x, few.y, few.era), folder=tmp_path, **QUICK)
    else:
        again = adapt(few, folder=tmp_path, seed=4, **QUICK)  # of this fit alone: adapters, and not the base
    assert again.adaptation_told["base_reused"] == (change == "seed of the fit")
    assert (again.adaptation["base"] == plain.adaptation["base"]) == (change in ("code", "seed of the fit"))


def test_one_trains_and_the_other_waits(tmp_path):
    order: list[str] = []
    store = BaseStore(tmp_path, "c", 1)

    def second():
        with store.turn("key"):
            order.append("second")

    with store.turn("key"):
        other = threading.Thread(target=second)
        other.start()
        time.sleep(0.3)
        order.append("first")
    other.join(timeout=30)
    assert order == ["first", "second"]


def test_what_cannot_be_kept_costs_nothing(planted, plain, tmp_path, caplog):
    (tmp_path / "bases").write_text("a file")
    with caplog.at_level(logging.WARNING, "eraflow.bases"):
        model = adapt(first_eras(planted, 60), folder=tmp_path / "bases", **QUICK)
    assert digest(model) == digest(plain)
    assert "not kept" in caplog.text


def test_eras_that_are_left_out_make_a_thinner_base(planted, tmp_path):
    few = first_eras(planted, 60)
    y = np.where(few.era % 2 == 1, few.y, np.nan)
    model = adapt(few, y, folder=tmp_path, **QUICK)
    assert model.adaptation["base_eras"] == ["0001", "0023"]
    assert model.adaptation["judged_eras"] == ["0049", "0059"]
