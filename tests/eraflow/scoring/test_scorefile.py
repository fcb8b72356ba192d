"""A user's own file of predictions, scored as Numerai would."""

import gzip
import json
import lzma

import numpy as np
import polars as pl
import pytest
from numerai_tools.scoring import correlation_contribution, numerai_corr

from eraflow.rows.predictionfile import PredictionFileError, read_predictions
from eraflow.sandbox.generate import generate
from eraflow.scoring.insample import Learned, Origin
from eraflow.scoring.scorefile import score_file
from eraflow.settings.data import DataSettings
from eraflow.settings.source import SandboxSettings
from flows.command.cli import main

TARGET = "target_ender_20"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    settings = SandboxSettings(train_eras=30, validation_eras=50, rows_per_era=60, features=12)
    return generate(tmp_path_factory.mktemp("data"), settings)


@pytest.fixture(scope="module")
def frame(folder):
    rows = pl.read_parquet(folder / "validation.parquet", columns=["id", "era", TARGET])
    noise = np.random.default_rng(3).normal(size=rows.height)
    return rows.with_columns(prediction=pl.Series(noise) + pl.col(TARGET).fill_null(0.5).cast(pl.Float64))


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_scores_equal_numerai_tools_whatever_the_order_of_rows(folder, frame, tmp_path, suffix):
    path = tmp_path / f"mine.{suffix}"
    mine = frame.select("id", "prediction").sample(fraction=1.0, shuffle=True, seed=1)
    mine.write_parquet(path) if suffix == "parquet" else mine.write_csv(path)
    scores = score_file(path, folder, DataSettings(target=TARGET, features="all"), tmp_path / "scratch").scores
    meta = pl.read_parquet(folder / "meta_model.parquet").to_pandas().set_index("id")["numerai_meta_model"]
    eras, values = scores.per_era["corr"]
    assert len(eras) == 45
    for era, value in zip(eras, values, strict=True):
        rows = frame.filter(pl.col("era") == era).to_pandas().set_index("id").sort_index()
        target = rows[TARGET].astype("float64")
        assert numerai_corr(rows[["prediction"]], target)["prediction"] == pytest.approx(value, abs=1e-9)
    for era, value in zip(*scores.per_era["mmc"], strict=True):
        rows = frame.filter(pl.col("era") == era).to_pandas().set_index("id").sort_index()
        target = rows[TARGET].astype("float64")
        expected = correlation_contribution(rows[["prediction"]], meta.reindex(rows.index).astype("float64"), target)[
            "prediction"
        ]
        assert expected == pytest.approx(value, abs=1e-9)


def test_only_the_eras_that_are_covered_are_scored(folder, frame, tmp_path):
    some = frame["era"].unique(maintain_order=True)[3:9]
    frame.filter(pl.col("era").is_in(some.to_list())).select("id", "prediction").write_csv(tmp_path / "mine.csv")
    found = score_file(tmp_path / "mine.csv", folder, DataSettings(target=TARGET, features="all"), tmp_path / "s")
    assert list(found.scores.per_era["corr"].eras) == some.to_list()
    assert (found.unknown_ids, found.missing_rows) == (0, 0)


def test_what_does_not_fit_is_counted(folder, frame, tmp_path):
    era = frame["era"].unique(maintain_order=True)[3]
    rows = frame.filter(pl.col("era") == era).select("id", "prediction")
    strangers = pl.DataFrame({"id": ["nobody", "noone"], "prediction": [0.1, 0.2]})
    pl.concat([rows.head(50), strangers]).write_csv(tmp_path / "mine.csv")
    found = score_file(tmp_path / "mine.csv", folder, DataSettings(target=TARGET, features="all"), tmp_path / "s")
    assert (found.rows, found.unknown_ids, found.missing_rows) == (50, 2, rows.height - 50)
    assert found.as_dict()["unknown_ids"] == 2


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("id,score\na,0.1\n", "id and prediction"),
        ("id,prediction\na,0.1\na,0.2\n", "twice"),
        ("id,prediction\na,much\n", "no number"),
        ("id,prediction\nnobody,0.5\n", "resolved era"),
        ("", "cannot be read"),
    ],
)
def test_files_that_cannot_be_scored_are_named(folder, tmp_path, content, named):
    path = tmp_path / "bad.csv"
    path.write_text(content)
    with pytest.raises(PredictionFileError, match="prediction_file") as caught:
        score_file(path, folder, DataSettings(target=TARGET, features="all"), tmp_path / "scratch")
    assert named in str(caught.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(PredictionFileError, match="no file"):
        read_predictions(tmp_path / "none.csv")


@pytest.mark.parametrize("suffix", ["csv", "csv.gz", "csv.xz"])
def test_types_are_not_guessed_from_the_first_rows(tmp_path, suffix):
    pack = {"csv": bytes, "csv.gz": gzip.compress, "csv.xz": lzma.compress}[suffix]
    values = ["0", "1"] * 80 + ["0.25", "NaN", ""]
    path = tmp_path / f"mine.{suffix}"
    path.write_bytes(pack("\n".join(["id,prediction", *(f"{n:05d},{v}" for n, v in enumerate(values)), ""]).encode()))
    found = read_predictions(path)
    assert found["id"][7] == "00007"
    assert found["prediction"].to_list()[158:161] == [0.0, 1.0, 0.25]
    assert np.isnan(found["prediction"][161])
    assert found["prediction"][162] is None


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress])
def test_a_packed_file_that_is_cut_short_is_named(tmp_path, pack):
    rows = "".join(f"n{number:x},{number / 7}\n" for number in range(5_000))
    packed = pack(f"id,prediction\n{rows}".encode())
    (tmp_path / "mine.csv.gz").write_bytes(packed[: len(packed) // 2])
    with pytest.raises(PredictionFileError, match="cannot be read"):
        read_predictions(tmp_path / "mine.csv.gz")


def test_eras_without_a_score_and_metrics_without_a_figure_are_told_in_text_and_record(folder, frame, tmp_path, capsys):
    eras = frame["era"].unique(maintain_order=True)[3:8].to_list()
    flat = pl.when(pl.col("era") == eras[1]).then(0.5).otherwise(pl.col("prediction"))
    rows = frame.filter(pl.col("era").is_in(eras)).select("id", flat.alias("prediction"))
    rows.write_csv(tmp_path / "mine.csv")
    bare = tmp_path / "bare"  # without benchmark and meta model
    bare.mkdir()
    for name in ("features.json", "train.parquet", "validation.parquet", "live.parquet"):
        (bare / name).symlink_to(folder / name)
    for place, absent in ((folder, set()), (bare, {"bmc", "benchmark_corr", "mmc"})):
        arguments = ["score", str(tmp_path / "mine.csv"), "--data", str(place), "--target", TARGET]
        assert main([*arguments, "--json"]) == 0
        record = json.loads(capsys.readouterr().out)
        assert record["unscored_eras"] == [eras[1]]
        assert set(record["absent"]) - {"mmc"} == absent - {"mmc"}
        assert main(arguments) == 0
        text = capsys.readouterr().out
        assert f"1 era is not scored, its predictions are constant or missing: {eras[1]}" in text
        assert all(f"no {metric}: {reason}" in text for metric, reason in record["absent"].items())


ODD = ["mine_[1].csv", "what?.parquet", "100% #1 it's.csv", "Übung*.parquet"]


@pytest.mark.parametrize("name", ODD)
def test_a_name_is_no_pattern(folder, frame, tmp_path, name):
    era = frame["era"].unique(maintain_order=True)[3]
    rows = frame.filter(pl.col("era") == era).select("id", "prediction")
    for decoy in ("mine_1.csv", "whatx.parquet", "Übungen.parquet"):
        rows.head(9).write_csv(tmp_path / decoy)
    place = tmp_path / "a [b] %41?"
    place.mkdir()
    rows.write_csv(tmp_path / "plain.csv")
    (place / name).write_bytes((tmp_path / "plain.csv").read_bytes())
    found = score_file(place / name, folder, DataSettings(target=TARGET, features="all"), place / "scratch #1")
    assert (found.rows, found.missing_rows) == (rows.height, 0)


@pytest.mark.parametrize("value", ["inf", "-inf", "NaN", "", "1e999"])
def test_what_is_not_finite_is_no_prediction_in_every_count_and_score(folder, frame, tmp_path, value):
    era = frame["era"].unique(maintain_order=True)[3]
    rows = frame.filter(pl.col("era") == era).select("id", "prediction")
    lines = rows.write_csv().splitlines(keepends=True)
    lines[5:8] = [f"{line.split(',')[0]},{value}\n" for line in lines[5:8]]
    (tmp_path / "odd.csv").write_text("".join(lines))
    (tmp_path / "without.csv").write_text("".join([*lines[:5], *lines[8:]]))
    odd, without = (
        score_file(tmp_path / name, folder, DataSettings(target=TARGET, features="all"), tmp_path / "s")
        for name in ("odd.csv", "without.csv")
    )
    assert (odd.rows, odd.missing_rows, odd.unknown_ids, odd.not_finite) == (rows.height - 3, 3, 0, 3)
    assert odd.scores == without.scores
    assert "max_exposure" in odd.scores.summary
    assert without.not_finite == 0


def predictions_from(frame, path, members, oof_file=None):
    origin = Origin(members=members, oof_file=oof_file)
    frame.select("id", "prediction").write_parquet(path, metadata=origin.as_metadata())
    return path


HORIZON = 8


@pytest.mark.parametrize(
    ("learned", "in_sample"),
    [
        (range(31, 53), range(31, 61)),  # eras 53 to 60 overlap
        (range(1, 200), range(31, 76)),  # everything
        ((45,), range(37, 54)),  # before and after
        ((1, 2), ()),  # long ago
    ],
)
def test_eras_that_the_models_learned_from_are_never_summed_with_the_others(
    folder, frame, tmp_path, capsys, learned, in_sample
):
    path = predictions_from(frame, tmp_path / "x", (Learned(tuple(learned), HORIZON),), str(tmp_path / "x"))
    plain = tmp_path / "plain"
    frame.select("id", "prediction").write_parquet(plain)
    data = DataSettings(target=TARGET, features="all")
    found, whole = (score_file(each, folder, data, tmp_path / "s") for each in (path, plain))
    assert whole.in_sample is None
    assert not whole.origin.known
    corr = dict(zip(*whole.scores.per_era["corr"], strict=True))
    expected = {era for era in corr if int(era) in in_sample}
    apart = found.in_sample
    assert set(apart.learned + apart.overlapping if apart else ()) == expected
    for scores, eras in ((found.scores, set(corr) - expected), (apart.scores if apart else None, expected)):
        if not eras:
            assert scores is None or not scores.summary
            continue
        assert dict(zip(*scores.per_era["corr"], strict=True)) == {era: corr[era] for era in sorted(eras)}
        assert scores.summary["corr"].mean == pytest.approx(np.mean([corr[era] for era in eras]))
    arguments = ["score", str(path), "--data", str(folder), "--target", TARGET]
    assert main([*arguments, "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["origin_known"]
    assert set(record["in_sample"]["learned"] + record["in_sample"]["overlapping"] if apart else ()) == expected
    assert main(arguments) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert ("in-sample, no evidence of skill" in text) == bool(expected)
    assert (f"eraflow score {tmp_path / 'x'} --data {folder} --target {TARGET}" in text) == bool(expected)
    assert main(["score", str(plain), *arguments[2:]]) == 0
    assert "which eras the models learned from is unknown" in capsys.readouterr().out


def test_a_run_that_was_moved_away_is_not_pointed_to(folder, frame, tmp_path, capsys):
    path = predictions_from(frame, tmp_path / "x", (Learned((40,), HORIZON),), str(tmp_path / "gone"))
    assert main(["score", str(path), "--data", str(folder), "--target", TARGET]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "gone" not in text
    assert "blend/oof.parquet in the folder of the run" in text


def test_eras_that_cannot_be_scored_do_not_hide_those_that_are_in_sample(folder, frame, tmp_path, capsys):
    flat = frame.with_columns(prediction=pl.when(pl.col("era") > "0060").then(0.5).otherwise(pl.col("prediction")))
    path = predictions_from(flat, tmp_path / "x", (Learned(tuple(range(1, 53)), HORIZON),))
    assert main(["score", str(path), "--data", str(folder), "--target", TARGET]) == 0
    text = capsys.readouterr().out
    assert "no era that is out of sample has a score" in text
    assert "15 eras are not scored" in text
    flat = frame.with_columns(prediction=pl.when(pl.col("era") > "0060").then(pl.col("prediction")).otherwise(0.5))
    path = predictions_from(flat, tmp_path / "z", (Learned(tuple(range(1, 53)), HORIZON),))
    assert main(["score", str(path), "--data", str(folder), "--target", TARGET]) == 0
    text = capsys.readouterr().out
    assert "in-sample, no evidence of skill" in text
    assert "30 eras are not scored" in text
    flat = frame.with_columns(prediction=0.5)
    path = predictions_from(flat, tmp_path / "y", (Learned(tuple(range(1, 53)), HORIZON),))
    assert main(["score", str(path), "--data", str(folder), "--target", TARGET]) == 1
    assert "nothing_to_score" in capsys.readouterr().err
