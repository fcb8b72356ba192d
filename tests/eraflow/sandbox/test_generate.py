"""The generated folder looks like the tournament's, and its signal is what the settings say."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eraflow.disk.atomic import StorageError
from eraflow.sandbox import generate as module
from eraflow.sandbox.files import row_ids
from eraflow.sandbox.generate import STAMP, Generator, bins, centred, five_bins, generate
from eraflow.sandbox.naming import GROUP_SIZES, name_features
from eraflow.sandbox.truth import OVERLAP, STRENGTH, benchmark_view, view_scores
from eraflow.settings.source import SandboxSettings

from .conftest import SMALL

TARGETS = [f"target_{name}_{days}" for name in ("ender", "cyrusd", "jeremy") for days in (20, 60)]


def read(folder: Path, name: str) -> pd.DataFrame:
    return pd.read_parquet(folder / f"{name}.parquet")


def test_files_are_laid_out_as_the_tournaments(small_folder: Path) -> None:
    catalogue = json.loads((small_folder / "features.json").read_text())
    features = catalogue["feature_sets"]["all"]
    for part, types in (("train", {"train"}), ("validation", {"validation", "test"}), ("live", {"live"})):
        frame = read(small_folder, part)
        assert frame.index.name == "id"
        assert [name for name in frame.columns if name.startswith("feature_")] == features
        assert set(frame.dtypes[features].astype(str)) == {"int8"}
        assert set(frame["data_type"]) == types
        known = [name for name in frame.columns if name.startswith("target")]
        assert known == ([] if part == "live" else ["target", *TARGETS])
    assert catalogue["targets"] == ["target", *TARGETS]
    assert set(read(small_folder, "live")["era"]) == {"X"}
    eras = pd.concat([read(small_folder, part)["era"] for part in ("train", "validation")])
    assert list(dict.fromkeys(eras)) == [f"{number:04d}" for number in range(1, 71)]


def test_the_id_is_an_index_in_some_files_and_a_column_in_others(small_folder: Path) -> None:
    as_index = {"train", "validation", "live", "train_benchmark_models", "live_benchmark_models"}
    for path in small_folder.glob("*.parquet"):
        schema = pq.read_schema(path)
        assert "id" in schema.names
        indexed = json.loads(schema.metadata[b"pandas"])["index_columns"] == ["id"]
        assert indexed == (path.stem in as_index)


def test_feature_sets_nest_and_groups_share_out_the_features(small_folder: Path) -> None:
    sets = json.loads((small_folder / "features.json").read_text())["feature_sets"]
    assert set(sets["small"]) < set(sets["medium"]) < set(sets["all"])
    assert set(sets["fncv3_features"]) < set(sets["all"])
    grouped = [name for group in GROUP_SIZES for name in sets[group]]
    assert sorted(grouped) == sorted(sets["all"])
    assert all(sets[group] for group in GROUP_SIZES)


@settings(max_examples=20, deadline=None)
@given(count=st.integers(12, 5000), seed=st.integers(0, 9))
def test_any_number_of_features_gets_unique_names_and_full_groups(count: int, seed: int) -> None:
    named = name_features(count, seed)
    assert len(set(named.names)) == len(named.names) == count
    assert all(re.fullmatch(r"feature_[a-z]+_[a-z]+_[a-z]+", name) for name in named.names)
    assert all(named.sets[group] for group in GROUP_SIZES)


def test_ids_are_unique_over_all_files(small_folder: Path) -> None:
    ids = np.concatenate([read(small_folder, part).index.to_numpy() for part in ("train", "validation", "live")])
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch("n[0-9a-f]{15}", name) for name in ids)
    assert set(row_ids(1, 0, 100).to_pylist()).isdisjoint(row_ids(1, 100, 100).to_pylist())


def test_features_fall_into_five_equal_bins_and_some_are_missing_early(small_folder: Path) -> None:
    frame = read(small_folder, "train")
    features = [name for name in frame.columns if name.startswith("feature_")]
    missing = 0
    for era, rows in frame.groupby("era"):
        for name in features:
            counts = rows[name].value_counts().to_dict()
            if counts == {2: SMALL.rows_per_era}:
                missing += 1
                assert int(era) <= 0.3 * SMALL.train_eras
            else:
                assert counts == dict.fromkeys(range(5), SMALL.rows_per_era / 5)
    assert missing == round(0.05 * SMALL.features) * 0.3 * SMALL.train_eras


@settings(max_examples=30, deadline=None)
@given(rows=st.integers(5, 200), seed=st.integers(0, 1000))
def test_bins_keep_the_order_and_the_shares(rows: int, seed: int) -> None:
    values = np.random.default_rng(seed).standard_normal((1, rows)).astype(np.float32)
    codes = five_bins(values)[0]
    assert np.all(np.diff(codes[np.argsort(values[0])]) >= 0)
    assert np.ptp(np.bincount(codes, minlength=5)) <= 1
    levels = bins(values[0], module.FIVE_BINS)
    assert np.all(np.diff(levels[np.argsort(values[0])]) >= 0)
    assert set(np.unique(levels)) <= {0.0, 0.25, 0.5, 0.75, 1.0}


def test_targets_are_binned_5_20_50_20_5_and_open_where_labels_overlap(small_folder: Path) -> None:
    both = pd.concat([read(small_folder, part) for part in ("train", "validation")])
    last = SMALL.train_eras + SMALL.validation_eras
    for days, weeks in OVERLAP.items():
        column = both[f"target_ender_{days}"]
        open_eras = {int(era) for era in both.loc[column.isna(), "era"]}
        assert open_eras == set(range(last - weeks + 1, last + 1))
        shares = column.dropna().value_counts(normalize=True).sort_index()
        assert list(shares.index) == [0, 0.25, 0.5, 0.75, 1]
        np.testing.assert_allclose(shares.to_numpy(), [0.05, 0.2, 0.5, 0.2, 0.05], atol=1e-6)
    assert both["target"].equals(both["target_ender_60"].rename("target"))
    assert both["target_jeremy_20"].nunique() == 7
    unresolved = {int(era) for era in both.loc[both["data_type"] == "test", "era"]}
    assert unresolved == set(range(last - 4, last + 1))


def test_benchmarks_start_late_and_the_meta_model_later(small_folder: Path) -> None:
    train, validation = read(small_folder, "train"), read(small_folder, "validation")
    early = read(small_folder, "train_benchmark_models")
    late = read(small_folder, "validation_benchmark_models").set_index("id")
    live = read(small_folder, "live_benchmark_models")
    meta = read(small_folder, "meta_model").set_index("id")
    assert early["era"].min() == "0012"
    assert set(early.index) < set(train.index)
    assert set(late.index) == set(validation.index)
    assert list(meta.columns) == ["era", "numerai_meta_model"]
    assert meta["era"].min() == "0053"
    assert set(meta.index) < set(validation.index)
    for frame in (early, late, live):
        assert list(frame.columns) == ["era", "v53_lgbm_ender20", "v53_lgbm_ender60"]
        values = frame.iloc[:, 1:].to_numpy()
        assert values.min() > 0
        assert values.max() < 1


def test_the_same_settings_give_the_same_bytes(tmp_path: Path, small_folder: Path) -> None:
    again = generate(tmp_path / "again", SMALL)
    other = generate(tmp_path / "other", SMALL, seed=4)
    for path in sorted(path for path in small_folder.rglob("*") if path.is_file()):
        name = path.relative_to(small_folder)
        assert (again / name).read_bytes() == path.read_bytes(), name
    assert (other / "train.parquet").read_bytes() != (small_folder / "train.parquet").read_bytes()


def test_a_finished_folder_is_kept_and_a_spoilt_one_made_anew(tmp_path: Path) -> None:
    tiny = SandboxSettings(train_eras=20, validation_eras=10, rows_per_era=20, features=12)
    folder = generate(tmp_path, tiny)
    before = (folder / "train.parquet").stat().st_mtime_ns
    generate(folder, tiny)
    assert (folder / "train.parquet").stat().st_mtime_ns == before
    whole = (folder / "live.parquet").read_bytes()
    (folder / "live.parquet").write_bytes(whole[:-9])
    generate(folder, tiny)
    assert (folder / "live.parquet").read_bytes() == whole
    (folder / STAMP).unlink()
    generate(folder, tiny, "v6.0")
    assert "v60_lgbm_ender60" in read(folder, "live_benchmark_models").columns
    assert json.loads((folder / STAMP).read_text())["version"] == "v6.0"


def test_a_stopped_generation_leaves_no_stamp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = Generator.era

    def stop_late(self: Generator, position: int) -> module.Era:
        if position > 22:
            raise KeyboardInterrupt
        return draw(self, position)

    monkeypatch.setattr(Generator, "era", stop_late)
    tiny = SandboxSettings(train_eras=20, validation_eras=10, rows_per_era=20, features=12)
    with pytest.raises(KeyboardInterrupt):
        generate(tmp_path, tiny)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"features.json", "train.parquet", "train_benchmark_models.parquet"}


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(StorageError, match="not a folder"):
        generate(tmp_path / "file" / "inside", SMALL)


def mean_correlation(generator: Generator, days: int, viewer: str, eras: range) -> float:
    """Mean over eras of the correlation of the true score, or of a benchmark, with a binned target."""
    found = []
    for position in eras:
        era = generator.era(position)
        z = centred(era.features[generator.truth.active])
        scores = generator.truth.score(position, z) if viewer == "truth" else era.benchmarks[viewer]
        found.append(np.corrcoef(scores, era.targets[f"target_ender_{days}"])[0, 1])
    return float(np.mean(found))


@pytest.mark.parametrize("days", [20, 60])
def test_the_planted_signal_is_seen_and_none_is_planted_at_zero(days: int) -> None:
    size = {"train_eras": 200, "validation_eras": 100, "rows_per_era": 400, "features": 30}
    eras = range(100, 280)
    planted = Generator(SandboxSettings(**size, signal=1.0, seed=5))
    truth = mean_correlation(planted, days, "truth", eras)
    # Binning costs a few percent; the noise of 72,000 rows and of the moving average about 0.006.
    assert 0.75 * STRENGTH[days] < truth < 1.25 * STRENGTH[days]
    assert 0.3 * STRENGTH[days] < mean_correlation(planted, days, f"v53_lgbm_ender{days}", eras) < truth
    nothing = Generator(SandboxSettings(**size, signal=0.0, seed=5))
    assert abs(mean_correlation(nothing, days, "truth", eras)) < 0.2 * STRENGTH[days]


@pytest.mark.parametrize(("days", "weeks"), OVERLAP.items())
def test_unpredictable_noise_overlaps_as_labels_do(days: int, weeks: int) -> None:
    truth = Generator(SandboxSettings(train_eras=3000, validation_eras=100, rows_per_era=20, features=40)).truth
    path = truth.noise[days]
    power = np.mean(path * path)
    for lag in (1, weeks // 2, weeks, weeks + 3):
        expected = max(0.0, 1 - lag / weeks)
        assert np.mean(path[lag:] * path[:-lag]) / power == pytest.approx(expected, abs=0.05)


def test_a_benchmark_knows_nothing_of_the_weeks_ahead() -> None:
    """Its coefficients at an era are the same when everything after the purge is drawn differently."""
    truth = Generator(SMALL).truth
    later = {days: path.copy() for days, path in truth.noise.items()}
    for path in later.values():
        path[40:] += 5
    changed = type(truth)(**{**vars(truth), "noise": later})
    for days, lag in ((20, 8), (60, 16)):
        views = [benchmark_view(one, days, 100, seed=1).linear for one in (truth, changed)]
        np.testing.assert_array_equal(views[0][: 40 + lag], views[1][: 40 + lag])
        assert not np.allclose(views[0][40 + lag :], views[1][40 + lag :])


def test_views_differ_from_the_truth_and_from_each_other() -> None:
    generator = Generator(SMALL)
    rng = np.random.default_rng(0)
    z = rng.standard_normal((len(generator.truth.active), 3000))
    views = [generator.meta_model, *generator.benchmarks.values()]
    scores = [view_scores(view, generator.truth, 50, z, rng) for view in views]
    together = np.abs(np.corrcoef([generator.truth.score(50, z), *scores])[np.triu_indices(4, 1)])
    assert together.max() < 0.97


PEAK = """
import resource, sys
from pathlib import Path
from eraflow.settings.source import SandboxSettings
from eraflow.sandbox.generate import generate
size = SandboxSettings(train_eras=int(sys.argv[2]), validation_eras=10, rows_per_era=1000, features=400)
generate(Path(sys.argv[1]), size)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory in KiB is Linux'")
def test_memory_does_not_grow_with_the_number_of_eras(tmp_path: Path) -> None:
    peaks = []
    for eras in (20, 60):
        command = [sys.executable, "-c", PEAK, str(tmp_path / str(eras)), str(eras)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ})
        peaks.append(int(done.stdout) / 1024)
    # 40 more eras are 15 MiB of int8 values: they must not be held.
    assert peaks[1] - peaks[0] < 8, peaks
