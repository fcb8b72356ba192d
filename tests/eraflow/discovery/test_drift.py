"""Drift: blocks keep their names, the history grows and stays small, the heat map shows it."""

import io

import numpy as np
import pytest
from PIL import Image

from eraflow.discovery.drift import (
    TRACKED,
    VERSIONS,
    Drift,
    DriftHistoryError,
    block_means,
    block_of,
    history_path,
    recall,
    remember,
)
from eraflow.reports.heatmap import drift_map


def drift(features=5, blocks=4, seed=0):
    names = tuple(f"feature_{place:03d}" for place in range(features))
    values = np.random.default_rng(seed).normal(size=(features, blocks)).round(3)
    return Drift(names, tuple(block_of(f"{1 + 26 * place:04d}") for place in range(blocks)), values)


def test_blocks_begin_at_fixed_eras():
    assert [block_of(era) for era in ("0001", "0026", "0027", "1000")] == [
        "0001-0026",
        "0001-0026",
        "0027-0052",
        "0989-1014",
    ]
    values = np.array([[1.0, np.nan], [3.0, np.nan], [5.0, 2.0]])
    blocks, means = block_means(["0025", "0026", "0027"], values)
    assert blocks == ["0001-0026", "0027-0052"]
    np.testing.assert_array_equal(means, [[2, np.nan], [5, 2]])


def test_a_history_grows_by_blocks_and_versions(tmp_path):
    path = history_path(tmp_path, "gain", "lightgbm", "target_ender_60")
    assert recall(path) == {}
    first, longer = drift(blocks=3), drift(blocks=4, seed=1)
    remember(path, "v5.2", first)
    later = Drift(longer.features, longer.blocks[2:], longer.values[:, 2:])
    merged = remember(path, "v5.2", later)["v5.2"]
    assert merged.blocks == longer.blocks
    row = merged.features.index("feature_003")
    np.testing.assert_allclose(merged.values[row], [*first.values[3, :2], *longer.values[3, 2:]])
    both = remember(path, "v5.3", longer)
    assert list(both) == ["v5.2", "v5.3"]
    again = recall(path)
    assert list(again) == list(both)
    for version in both:
        np.testing.assert_array_equal(again[version].values, both[version].values)


def test_a_history_stays_small(tmp_path):
    path = tmp_path / "history.json"
    for version in range(VERSIONS + 2):
        remember(path, f"v{version}", drift(features=3000, blocks=34, seed=version))
    found = recall(path)
    assert list(found) == [f"v{version}" for version in range(2, VERSIONS + 2)]
    assert all(len(each.features) == TRACKED for each in found.values())
    assert path.stat().st_size < 400_000


def test_what_is_no_history_is_named(tmp_path):
    path = tmp_path / "history.json"
    for content in ("{", '{"format": 9}', "[]", '{"format": 1, "versions": [{"version": "v"}]}'):
        path.write_text(content)
        with pytest.raises(DriftHistoryError, match="remove it"):
            remember(path, "v5.3", drift())


def test_agreement_is_the_rank_correlation_with_the_past():
    steady = np.arange(10.0)[:, None] * [1.0, 2.0, -1.0]
    found = Drift(tuple("abcdefghij"), ("0001-0026", "0027-0052", "0053-0078"), steady).agreement()
    assert found == [None, pytest.approx(1), pytest.approx(-1)]
    assert Drift((), (), np.zeros((0, 0))).agreement() == []
    assert Drift(("a",), ("0001-0026", "0027-0052"), np.ones((1, 2))).agreement() == [None, None]


def picture(png):
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), dtype=np.int16)


def test_the_heat_map_is_a_small_picture_of_its_data():
    history = {"v5.2": drift(80, 20), "v5.3": drift(80, 34, seed=2)}
    png = drift_map(history, title="association of $x|")
    assert len(png) <= 60_000
    assert png == drift_map(history, title="association of $x|")
    assert png != drift_map({"v5.3": history["v5.3"]}, title="association of $x|")
    blue, red = (np.abs(picture(png) - colour).max(axis=2).min() for colour in ((0, 114, 178), (213, 94, 0)))
    assert max(blue, red) < 30


def test_an_empty_heat_map_says_so():
    unknown = Drift(("a",), ("0001-0026",), np.full((1, 1), np.nan))
    assert all((picture(drift_map(each, title="t")) < 200).any() for each in ({}, {"v5.3": unknown}))
