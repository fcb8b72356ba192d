"""An ensemble that neutralises: what is judged out of fold is what is sent."""

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from eraflow.disk.digest import file_sha256
from eraflow.errors import SettingsError
from eraflow.scoring.backtest import BLEND, BacktestJob, backtest, read_neutralisation, read_scores
from eraflow.scoring.neutralise import Neutralisation, neutralise
from eraflow.scoring.ranking import EraGroups
from models.base.predictions import read_out_of_fold
from models.ensembles.blend import UNNEUTRALISED, blend_members
from models.ensembles.ensemble import DamagedEnsembleError, Ensemble, FeaturesNeededError, read_ensemble, write_ensemble
from models.ensembles.rankblend import NothingLeftError, rank_gaussian_blend
from models.kinds import make_model
from models.prediction.predict import predict_file
from tests.models.conftest import blending
from tests.models.planted import PLAN, TARGET, fast, plant

SOME = ["feature_00", "feature_04", "feature_05", "feature_11"]


def blended(week, out, **over):
    metrics = blend_members(**blending(week.store, out, week.folders, **over))
    return read_out_of_fold(out / "oof.parquet"), Ensemble.load(out / "ensemble"), metrics


def by_hand(values, groups, codes, proportion):
    bounds = zip(groups.offsets[:-1], groups.offsets[1:], strict=True)
    return np.concatenate([neutralise(values[a:b], codes[a:b], proportion) for a, b in bounds])


@pytest.fixture(scope="module", params=[0.5, 1.0])
def some(request, week, tmp_path_factory):
    """The week's blend neutralised to four features of twelve."""
    out = tmp_path_factory.mktemp("blend")
    return out, request.param, *blended(week, out, neutralise=Neutralisation(request.param, tuple(SOME)))


def test_the_blend_out_of_fold_is_neutralised_era_by_era(week, some):
    out, proportion, oof, _, _ = some
    before = read_out_of_fold(out / UNNEUTRALISED)
    plain = read_out_of_fold(week.blend / "oof.parquet")
    np.testing.assert_array_equal(before.values, plain.values)
    np.testing.assert_array_equal(oof.ids, plain.ids)
    codes = week.store.matrix(oof.eras, SOME)
    np.testing.assert_allclose(oof.values, by_hand(plain.values, oof.groups, codes, proportion), atol=1e-9)


def test_what_is_judged_is_what_would_be_sent_to_the_last_bit(week, some):
    """The members' own out-of-fold predictions, finished as for a live era, one at a time or all at once."""
    _, _, oof, ensemble, _ = some
    members = np.stack(
        [read_out_of_fold(Path(folder) / "oof.parquet").values for folder in week.folders.values()], axis=1
    )
    whole = ensemble.finish(members, oof.groups, lambda era: week.store.matrix([oof.eras[era]]))
    np.testing.assert_array_equal(whole, oof.values)
    for at in (0, len(oof.eras) - 1):
        rows = slice(oof.groups.offsets[at], oof.groups.offsets[at + 1])
        codes = np.ascontiguousarray(week.store.matrix([oof.eras[at]]))
        one = ensemble.finish(members[rows], EraGroups.from_sizes([len(codes)]), lambda era, codes=codes: codes)
        np.testing.assert_array_equal(one, oof.values[rows])


@pytest.mark.parametrize("tried", [True, False])
def test_the_backtest_judges_what_is_sent_and_tells_what_each_proportion_is_worth(week, some, tmp_path, tried):
    out, proportion, oof, _, _ = some
    job = BacktestJob(
        store=week.store.path,
        predictions={BLEND: out / "oof.parquet"},
        target=TARGET,
        horizon_days=20,
        fnc_features=tuple(SOME),
        confidence=0.95,
        neutralisation=Neutralisation(proportion, tuple(SOME)) if tried else None,
        unneutralised=out / UNNEUTRALISED,
    )
    backtest(job, tmp_path, PLAN)
    summary, worth = read_scores(tmp_path)[BLEND].summary, read_neutralisation(tmp_path)
    if not tried:
        assert worth is None
        return
    sent = next(row for row in worth["proportions"] if row["proportion"] == proportion)
    assert sent["corr"]["mean"] == summary["corr"].mean
    assert sent["max_exposure"]["mean"] == pytest.approx(summary["max_exposure"].mean, abs=1e-12)
    assert sent["sharpe"]["mean"] == summary["corr"].sharpe
    assert sent["corr"]["eras"] == len(oof.eras)
    assert worth["chosen"] == proportion


def test_live_predictions_are_neutralised_from_the_file(week, some, tmp_path):
    out, proportion, _, ensemble, _ = some
    frame = plant(eras=3, rows=80, seed=31).frame()
    shuffled = frame.select(sorted(frame.columns, reverse=True))
    shuffled.write_parquet(tmp_path / "live.parquet")
    given = {"ensemble": str(out / "ensemble"), "data": str(tmp_path / "live.parquet")}
    predict_file(out=str(tmp_path / "out.parquet"), plan=PLAN.as_dict(), **given)
    predict_file(out=str(tmp_path / "tiles.parquet"), plan={**PLAN.as_dict(), "rows_in_memory": 37}, **given)
    assert file_sha256(tmp_path / "out.parquet") == file_sha256(tmp_path / "tiles.parquet")
    values = pl.read_parquet(tmp_path / "out.parquet")["prediction"].to_numpy()
    x, groups = frame.select(week.store.features).to_numpy().astype(np.int8), EraGroups.from_sizes([80] * 3)
    np.testing.assert_array_equal(values, ensemble.predict(x, groups, plan=PLAN))
    plain = rank_gaussian_blend(ensemble.predict_members(x, plan=PLAN), groups)
    codes = x[:, [week.store.features.index(name) for name in SOME]]
    np.testing.assert_allclose(values, by_hand(plain, groups, codes, proportion), atol=1e-9)


def test_the_description_says_what_is_neutralised_and_old_versions_refuse_it(week, some):
    out, proportion, _, ensemble, metrics = some
    described = read_ensemble(out / "ensemble")
    assert described["neutralise"] == {"proportion": proportion, "features": SOME}
    assert described["format"] == 2
    assert ensemble.neutralises
    assert metrics["ensemble_signature"] not in (None, week.blend_metrics["ensemble_signature"])


def test_all_features_are_the_same_as_naming_them_all(week, tmp_path):
    oof, ensemble, _ = blended(week, tmp_path, neutralise=Neutralisation(1.0, week.store.features))
    plain = read_out_of_fold(week.blend / "oof.parquet")
    expected = by_hand(plain.values, plain.groups, week.store.matrix(plain.eras), 1.0)
    np.testing.assert_allclose(oof.values, expected, atol=1e-9)
    assert ensemble.description["neutralise"]["features"] == list(week.store.features)


def test_without_neutralisation_everything_is_as_it_was(week, tmp_path):
    blended(week, tmp_path, neutralise=None)
    described = read_ensemble(tmp_path / "ensemble")
    assert "neutralise" not in described
    assert described["format"] == 1
    assert described["signature"] == week.blend_metrics["ensemble_signature"]
    assert file_sha256(tmp_path / "oof.parquet") == file_sha256(week.blend / "oof.parquet")
    assert not (tmp_path / UNNEUTRALISED).exists()
    assert not Ensemble.load(tmp_path / "ensemble").neutralises


def test_finishing_without_the_features_is_refused(some):
    _, _, oof, ensemble, _ = some
    members = np.random.default_rng(0).standard_normal((oof.groups.n_rows, 3))
    for ask in (ensemble.finish, ensemble.blend):
        with pytest.raises(FeaturesNeededError):
            ask(members, oof.groups)


def test_more_features_than_rows_leave_nothing_and_say_so(week, some):
    _, proportion, _, ensemble, _ = some
    members, groups = np.random.default_rng(0).standard_normal((43, 3)), EraGroups.from_sizes([40, 3])
    codes = plant(eras=1, rows=43, seed=1).x
    bounds = [codes[:40], codes[40:]]
    if proportion == 1.0:
        with pytest.raises(NothingLeftError, match="1 of 2 eras"):
            ensemble.finish(members, groups, lambda era: bounds[era])
    else:
        finished = ensemble.finish(members, groups, lambda era: bounds[era])
        np.testing.assert_allclose(finished[40:], rank_gaussian_blend(members, groups)[40:] / 2)


@pytest.mark.parametrize(
    "wrong",
    [
        {"proportion": 0.5, "features": ["feature_99"]},
        {"proportion": 0.5, "features": ["feature_04", "feature_00"]},
        {"proportion": 0.5, "features": []},
        {"proportion": 0.0, "features": SOME},
        {"proportion": 1.5, "features": SOME},
    ],
    ids=["unknown", "another order", "none", "nothing", "too much"],
)
def test_a_neutralisation_that_cannot_be_is_refused(week, tmp_path, wrong):
    with pytest.raises(SettingsError, match="neutralise"):
        write_ensemble(
            tmp_path / "ensemble",
            {name: Path(folder) / "model" for name, folder in week.folders.items()},
            features=week.store.features,
            method="rank-gaussian",
            weights=[1 / 3] * 3,
            target="t",
            horizon_days=20,
            data_version="v5.3",
            neutralise=wrong,
        )
    assert not (tmp_path / "ensemble").exists()


@pytest.mark.parametrize("damage", ["proportion", "taken out", "added"])
def test_a_changed_neutralisation_is_refused(week, some, tmp_path, damage):
    source = week.ensemble if damage == "added" else some[0] / "ensemble"
    folder = shutil.copytree(source, tmp_path / "ensemble")
    described = json.loads((folder / "ensemble.json").read_text())
    if damage == "proportion":
        described["neutralise"]["proportion"] = 0.25
    elif damage == "taken out":
        del described["neutralise"]
    else:
        described["neutralise"] = {"proportion": 1.0, "features": SOME}
    (folder / "ensemble.json").write_text(json.dumps(described))
    with pytest.raises(DamagedEnsembleError):
        Ensemble.load(folder)


def test_members_that_use_only_some_columns_are_neutralised_to_others(week, tmp_path):
    """Members take all columns and pick their own; what is taken out of the blend has its own list."""
    planted = plant(eras=6, rows=120, seed=41)
    for kind, columns in (("lightgbm", [0, 1, 2, 3]), ("xgboost", [0, 1, 5, 9])):
        model = make_model(kind, fast(kind), columns=columns)
        model.fit(planted.x, planted.y, plan=PLAN, seed=1)
        (tmp_path / kind).mkdir()
        model.save(tmp_path / kind)
    names = planted.features
    write_ensemble(
        tmp_path / "ensemble",
        {kind: tmp_path / kind for kind in ("lightgbm", "xgboost")},
        features=names,
        method="rank-gaussian",
        weights=[0.5, 0.5],
        target=TARGET,
        horizon_days=20,
        data_version="v5.3",
        neutralise={"proportion": 1.0, "features": SOME},
    )
    ensemble, groups = Ensemble.load(tmp_path / "ensemble"), EraGroups.from_sizes([120] * 6)
    values = ensemble.predict(planted.x, groups, plan=PLAN)
    plain = rank_gaussian_blend(ensemble.predict_members(planted.x, plan=PLAN), groups)
    codes = planted.x[:, [names.index(name) for name in SOME]]
    np.testing.assert_allclose(values, by_hand(plain, groups, codes, 1.0), atol=1e-9)
    exposures = np.corrcoef(values[:120], codes[:120].T.astype(float))[0, 1:]
    np.testing.assert_allclose(exposures, 0, atol=1e-9)
