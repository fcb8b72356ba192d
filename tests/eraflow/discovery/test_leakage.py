"""A feature that holds the answer in part of the rows, or of the eras, is told from an honest one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.polynomial import polynomial

from eraflow.discovery.association import measure
from eraflow.discovery.leakage import ORDERS, code_parts, era_figures, scan, target_parts
from eraflow.discovery.leakstage import LEAKS, LEAST_SCORE, LeakJob, find_leaks, read_leaks
from eraflow.discovery.othertargets import read_other_targets
from eraflow.machine.plan import Plan
from tests.eraflow.discovery.worlds import TARGET, draw, five_bins, store_of

ERAS, ROWS, FEATURES, LEAKY = 150, 400, 6, 4
NAME = f"feature_{LEAKY:03d}"


@pytest.fixture(scope="module")
def honest():
    """A strong honest world: two features with a mean correlation of .05 and .03, one of them with a bend."""
    rng = np.random.default_rng(3)
    coefficients = np.array([0.05, 0.03]) + 0.1 * rng.standard_normal((ERAS, 2))
    return draw(coefficients, features=FEATURES, rows=ROWS, seed=4)


def leaked(world, share, *, eras=slice(None), values=None, seed=5):
    """The world with `values` (the target's levels) in a share of the rows of one feature."""
    x, y = world[0].copy(), world[1]
    rows = np.random.default_rng(seed).random(y.shape) < share
    rows[np.setdiff1d(np.arange(len(y)), np.arange(len(y))[eras])] = False
    copied = np.rint(np.nan_to_num(y) * 4).astype(np.int8) if values is None else values
    x[:, :, LEAKY][rows] = copied[rows]
    return x, y


def noisy(y, noise, seed=6):
    """Five bins of the target with noise of so many of its standard deviations."""
    drawn = y / y.std() + noise * np.random.default_rng(seed).standard_normal(y.shape)
    return five_bins(drawn.T).T


def found_in(world, folder, *, overlap=5, **job):
    store_of(*world, folder / "store")
    (folder / "out").mkdir()
    find_leaks(LeakJob(overlaps={TARGET: overlap}, store=folder / "store", **job), folder / "out", Plan(threads=2))
    return {row["feature"]: row for row in read_leaks(folder / "out")["targets"][TARGET]["features"]}


def test_an_honest_world_holds_no_copy_and_its_associations_are_those_of_the_selection(honest, tmp_path):
    found = found_in(honest, tmp_path)
    assert max(row["copy"] for row in found.values()) == 0
    assert max(row["copy_score"] for row in found.values()) < 5.5
    assert max(row["bound"] for row in found.values()) < 0.05
    assert set(ORDERS) <= set(found)
    store = store_of(*honest, tmp_path / "again")
    told = scan(store, {TARGET: 5})[TARGET]
    wanted = measure(store, TARGET, store.eras).values
    np.testing.assert_allclose(np.stack(told.association)[:, :FEATURES], wanted, atol=1e-6)


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 1.0])
def test_a_copy_in_part_of_the_rows_is_found_with_its_share(share, honest, tmp_path):
    found = found_in(leaked(honest, share), tmp_path)
    assert found[NAME]["copy"] == pytest.approx(share, abs=0.1)
    assert [name for name, row in found.items() if row["copy"] > 0] == [NAME]


def test_levels_that_are_exchanged_hide_no_copy(honest, tmp_path):
    exchanged = np.array([3, 0, 4, 1, 2], dtype=np.int8)[np.rint(honest[1] * 4).astype(int)]
    found = found_in(leaked(honest, 0.3, values=exchanged), tmp_path)
    assert abs(found[NAME]["corr"]) < 0.05
    assert found[NAME]["copy"] > 0.1


@pytest.mark.parametrize(("noise", "share"), [(0.5, 0.3), (1.0, 0.5), (2.0, 1.0)])
def test_a_noisy_copy_shows_in_the_certain_mean(noise, share, honest, tmp_path):
    found = found_in(leaked(honest, share, values=noisy(honest[1], noise)), tmp_path)
    assert found[NAME]["bound"] > 0.06
    assert found[NAME]["bound"] < found[NAME]["corr"]
    assert max(row["bound"] for name, row in found.items() if name != NAME) < 0.05


def test_a_copy_in_a_few_eras_is_found_there(honest, tmp_path):
    (tmp_path / "one").mkdir()
    one = found_in(leaked(honest, 1.0, eras=slice(70, 71)), tmp_path / "one")[NAME]
    assert (one["copy"], one["copy_eras"], one["corr_era"]) == (pytest.approx(1, abs=0.05), "era 0071", "0071")
    assert one["era_corr"] > 0.9
    (tmp_path / "block").mkdir()
    block = found_in(leaked(honest, 0.35, eras=slice(65, 78)), tmp_path / "block")[NAME]
    assert (block["copy"], block["copy_eras"]) == (pytest.approx(0.35, abs=0.1), "13 eras 0066 to 0078")


def test_rows_that_are_sorted_by_their_target_are_found(honest, tmp_path):
    x, y = honest[0].copy(), honest[1].copy()
    for era in range(len(y)):
        order = np.argsort(y[era], kind="stable")
        x[era], y[era] = x[era][order], y[era][order]
    found = found_in((x, y), tmp_path)
    assert found[ORDERS[0]]["bound"] > 0.5
    assert found[ORDERS[1]]["bound"] > 0.5, "the ids of this world rise with the rows"


def test_another_target_is_looked_at_where_the_store_does_not_hold_it(honest, tmp_path):
    rng = np.random.default_rng(8)
    other = np.digitize(rng.random(honest[1].shape), [0.05, 0.25, 0.75, 0.95]) / 4
    x, y = leaked(honest, 0.4, values=np.rint(other * 4).astype(np.int8))
    store = store_of(x, y, tmp_path / "store")
    store_of(x, other, tmp_path / "other", target="target_bravo_20")
    files = (tmp_path / "other.parquet",)
    assert files[0].is_file(), "the world leaves the file that its store was made of"
    (tmp_path / "out").mkdir()
    job = LeakJob(overlaps={TARGET: 5, "target_bravo_20": 5, "target_absent_20": 5}, store=store.path, files=files)
    find_leaks(job, tmp_path / "out", Plan(threads=1))
    targets = read_leaks(tmp_path / "out")["targets"]
    rows = {row["feature"]: row for row in targets["target_bravo_20"]["features"]}
    assert rows[NAME]["copy"] == pytest.approx(0.4, abs=0.1)
    assert targets["target_bravo_20"]["eras"] == -(-ERAS // 4)
    assert targets["target_absent_20"]["eras"] == 0
    assert all(row["copy"] == 0 for row in targets[TARGET]["features"])
    read = read_other_targets(files, ("target_bravo_20",), store.eras[:2])
    np.testing.assert_array_equal(read.of("0001")[0][1], other[0])
    assert read.of("0003") == []


def test_threads_change_no_byte(honest, tmp_path):
    store_of(*leaked(honest, 0.2), tmp_path / "store")
    written = []
    for threads in (1, 3):
        out = tmp_path / f"out{threads}"
        out.mkdir()
        find_leaks(LeakJob(overlaps={TARGET: 5}, store=tmp_path / "store"), out, Plan(threads=threads))
        written.append((out / LEAKS).read_bytes())
    assert written[0] == written[1]


def test_the_match_of_honest_rows_is_standard_normal(honest):
    figures = [era_figures(x, [y])[0].match for x, y in zip(*honest, strict=True)]
    drawn = np.concatenate(figures).ravel()
    assert abs(drawn.mean()) < 0.1
    assert drawn.std() == pytest.approx(1, abs=0.05)
    assert np.abs(drawn).max() < LEAST_SCORE - 1.5


def test_an_era_without_enough_rows_or_a_varying_target_is_passed_over(tmp_path):
    x, y = draw(np.full((4, 1), 0.1), features=2, rows=100)
    y[0] = 0.5
    y[1, 40:] = np.nan
    y[2, 70:] = np.nan
    told = scan(store_of(x, y, tmp_path / "store"), {TARGET: 5})[TARGET]
    assert (told.eras, told.rows) == (["0003", "0004"], 170)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=60, max_size=200), st.integers(0, 2**32 - 1))
def test_parts_are_orthogonal_to_what_is_straight_or_bent_once(levels, seed):
    codes = np.array(levels)
    shares = np.bincount(codes, minlength=5)[:, None] / len(codes)
    cubic, quartic = code_parts(shares)[2:, :, 0]
    bend = polynomial.polyval(np.arange(5.0), np.random.default_rng(seed).standard_normal(3))
    for part in (cubic, quartic):
        assert abs(np.mean(part[codes] * bend[codes])) < 1e-9 * (1 + np.abs(bend).max())
        size = np.mean(part[codes] ** 2)
        assert size == pytest.approx(1) or size == 0
    target = np.random.default_rng(seed).permutation(codes) / 4
    if np.ptp(target) > 0:
        for part in target_parts(target):
            assert abs(np.mean(part * target**2)) < 1e-8
            assert np.mean(part**2) == pytest.approx(1, abs=1e-6) or not part.any()
