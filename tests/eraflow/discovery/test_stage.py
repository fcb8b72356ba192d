"""The stage: each window sees its own training eras only, budgets are kept, what was finished is kept."""

import json
import os

import numpy as np
import polars as pl
import pytest

from eraflow.data.eras import Window
from eraflow.discovery.association import DiscoveryDataError, measure
from eraflow.discovery.selection import CHOSEN, FILLED, REDUNDANT, VARYING, WEAK, choose_features
from eraflow.discovery.stage import SelectJob, select_features
from eraflow.machine.plan import Plan
from eraflow.settings.selection import SelectionSettings
from tests.eraflow.discovery.worlds import TARGET, draw, store_of

ERAS = 120


def labels(stop, start=0):
    return [f"{number + 1:04d}" for number in range(start, stop)]


WINDOWS = (
    Window(0, tuple(labels(64)), tuple(labels(90, 72)), 8),
    Window(1, tuple(labels(88)), tuple(labels(ERAS, 96)), 8),
)


def stage(store, out, **over):
    job = SelectJob(
        windows=WINDOWS,
        final_eras=tuple(labels(ERAS)),
        target=TARGET,
        overlap_weeks=5,
        selection=SelectionSettings(**{"least": 2, **over}),
        store=store.path,
    )
    return select_features(job, out, Plan(threads=2))


def copies(z):
    z[:, 5] = z[:, 0]
    return z


@pytest.fixture(scope="module")
def data():
    """Features 0 and 1 are stable, 2 fades, 5 copies 0, the others mean nothing."""
    fading = np.where(np.arange(ERAS) < 45, 0.4, 0.05)
    coefficients = np.stack([np.full(ERAS, 0.3), np.full(ERAS, -0.25), fading], axis=1)
    return draw(coefficients, features=12, rows=120, seed=3, latent=copies)


@pytest.fixture(scope="module")
def store(data, tmp_path_factory):
    return store_of(*data, tmp_path_factory.mktemp("world") / "store")


def outcomes(out, label):
    frame = pl.read_parquet(out / f"window-{label}.parquet")
    return dict(zip(frame["feature"].to_list(), frame["outcome"].to_list(), strict=True))


def test_association_finds_what_is_planted_and_its_copy(store, tmp_path):
    metrics = stage(store, tmp_path, method="association")
    chosen = json.loads((tmp_path / "selection.json").read_text())
    assert chosen["method"] == "association"
    assert [window["index"] for window in chosen["windows"]] == [0, 1]
    for features in [*(window["features"] for window in chosen["windows"]), chosen["live"]]:
        assert {"feature_000", "feature_001", "feature_002", "feature_005"} <= set(features)
        assert features == sorted(features), "in the order of the store"
        assert len(features) <= 6
    assert metrics["chosen"]["live"] == len(chosen["live"])
    assert sum(metrics["outcomes"]["0"].values()) == metrics["features"] == 12
    json.dumps(metrics)


def test_invariant_leaves_the_fading_one_and_the_copy_out(store, tmp_path):
    stage(store, tmp_path, method="invariant")
    chosen = json.loads((tmp_path / "selection.json").read_text())
    assert {"feature_000", "feature_001"} <= set(chosen["live"])
    assert not {"feature_002", "feature_005"} & set(chosen["live"])
    why = outcomes(tmp_path, "live")
    assert (why["feature_000"], why["feature_002"], why["feature_005"]) == (CHOSEN, VARYING, REDUNDANT)
    table = pl.read_parquet(tmp_path / "window-live.parquet")
    assert table.filter(pl.col("outcome") == CHOSEN)["environment_p"].min() >= 0.05
    assert table.filter(pl.col("outcome") == WEAK)["environment_p"].is_nan().all()
    assert sorted(table.filter(pl.col("outcome") == CHOSEN)["order"].to_list())[0] == 1


@pytest.mark.parametrize("method", ["association", "invariant"])
def test_targets_and_features_after_a_windows_training_eras_change_nothing_in_it(data, store, tmp_path, method):
    x, y = (array.copy() for array in data)
    rng = np.random.default_rng(0)
    y[64:] = rng.permuted(y[64:], axis=1)
    x[64:] = rng.permuted(x[64:], axis=1)
    other = store_of(x, y, tmp_path / "other")
    for name, each in (("a", store), ("b", other)):
        stage(each, tmp_path / name, method=method)
    first, second = (pl.read_parquet(tmp_path / name / "window-0.parquet") for name in "ab")
    assert first.equals(second, null_equal=True)
    first, second = (json.loads((tmp_path / name / "selection.json").read_text()) for name in "ab")
    assert first["windows"][0] == second["windows"][0]
    live = [pl.read_parquet(tmp_path / name / "window-live.parquet") for name in "ab"]
    assert not live[0].equals(live[1], null_equal=True)


@pytest.mark.parametrize("method", ["association", "invariant"])
@pytest.mark.parametrize(("least", "most", "wanted"), [(8, None, 8), (2, 3, 3), (5, 3, 3), (50, None, 12), (2, 2, 2)])
def test_budgets_are_kept(store, method, least, most, wanted):
    settings = SelectionSettings(method=method, least=least, most=most)
    associations = measure(store, TARGET, store.eras)
    found = choose_features(store, TARGET, associations, settings, overlap_weeks=5)
    if (method, least, most) == ("invariant", 2, 3):
        assert 2 <= found.chosen.sum() <= 3
    else:
        assert found.chosen.sum() == wanted
    assert (found.chosen == np.isin(found.outcome, [CHOSEN, FILLED])).all()
    if wanted > 4:
        assert FILLED in found.outcome


def test_a_killed_stage_keeps_its_windows_and_the_same_work_gives_the_same_bytes(store, tmp_path, monkeypatch):
    for out in (tmp_path / "a", tmp_path / "b"):
        stage(store, out, method="invariant")
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "b").iterdir())
    assert all((tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes() for name in names)
    (tmp_path / "a" / "selection.json").unlink()
    (tmp_path / "a" / "window-1.json").unlink()
    before = {path.name: os.stat(path).st_mtime_ns for path in (tmp_path / "a").glob("window-*.parquet")}
    stage(store, tmp_path / "a", method="invariant")
    after = {path.name: os.stat(path).st_mtime_ns for path in (tmp_path / "a").glob("window-*.parquet")}
    assert [name for name in before if before[name] != after[name]] == ["window-1.parquet"]
    stage(store, tmp_path / "a", method="association")
    assert outcomes(tmp_path / "a", "0")["feature_005"] == CHOSEN, "other settings are other work"


def test_too_few_eras_are_named(store, tmp_path):
    with pytest.raises(DiscoveryDataError, match="too few for two environments"):
        choose_features(
            store,
            TARGET,
            measure(store, TARGET, store.eras[:15]),
            SelectionSettings(method="invariant"),
            overlap_weeks=5,
        )


def test_nothing_is_found_in_shuffled_targets(data, tmp_path):
    x, y = data
    shuffled = store_of(x, np.random.default_rng(1).permuted(y, axis=1), tmp_path / "store")
    for method in ("association", "invariant"):
        out = tmp_path / method
        stage(shuffled, out, method=method)
        assert list(outcomes(out, "live").values()).count(CHOSEN) <= 1
