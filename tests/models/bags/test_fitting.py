"""Parts that learn from the same rows share their bins, and are the models that they would be without."""

import pytest

from models.bags.parts import BagPart
from models.boosters.booster import BoosterModel
from models.boosters.xgboost_model import XGBoostModel
from tests.models.bags.bags import fitted_bag
from tests.models.planted import fast, plant
from tests.models.test_models import folder_hashes


@pytest.mark.parametrize("kind", ["lightgbm", "xgboost", "catboost"])
def test_shared_bins_are_made_once_and_change_no_byte(kind, monkeypatch, tmp_path):
    planted, made = plant(eras=8, rows=100), []
    params = [{**fast(kind), "n_estimators": trees} for trees in (10, 20)]
    parts = [BagPart(2 * recipe + offset, params[recipe], None, 2, offset) for recipe in (0, 1) for offset in (0, 1)]
    prepare = BoosterModel.prepare
    monkeypatch.setattr(
        BoosterModel, "prepare", lambda self, *given, **named: made.append(self.kind) or prepare(self, *given, **named)
    )
    fitted_bag(kind, planted, parts).save(tmp_path / "shared")
    assert made == [kind, kind]  # once for each offset
    monkeypatch.setattr(BoosterModel, "binning_name", None)
    fitted_bag(kind, planted, parts).save(tmp_path / "alone")
    assert len(made) == 2
    assert folder_hashes(tmp_path / "shared") == folder_hashes(tmp_path / "alone")


def test_other_bins_are_not_shared(monkeypatch):
    planted, made, bins = plant(eras=8, rows=100), [], XGBoostModel._bins
    params = {**fast("xgboost"), "n_estimators": 5}
    parts = [BagPart(number, {**params, "max_bin": 8 * (1 + number % 2)}) for number in range(4)]

    def counted(self, rows, settings, *given):
        made.append((rows.n_rows, settings["max_bin"]))
        return bins(self, rows, settings, *given)

    monkeypatch.setattr(XGBoostModel, "_bins", counted)
    fitted_bag("xgboost", planted, parts)
    assert [one for one in made if one[0] == len(planted.y)] == [(800, 8), (800, 16)]
