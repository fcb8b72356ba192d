"""A bag that is killed between two of its fits goes on with the next, and saves the bytes it would have saved."""

import json

import numpy as np
import pytest

from models.bags.keptparts import KeptParts
from models.bags.parts import BagPart
from tests.models.bags.bags import fitted_bag, small_parts
from tests.models.planted import fast, plant
from tests.models.test_models import folder_hashes

every_kind = pytest.mark.parametrize("kind", ["lightgbm", "xgboost", "catboost", "mlp"])


class Killed(Exception):
    pass


@pytest.fixture(scope="module")
def planted():
    return plant(eras=12, rows=100)


@pytest.fixture
def killed_once(monkeypatch):
    """The first bag dies when one of its parts was kept."""
    keep = KeptParts.keep

    def keep_and_die(self, part, fitted):
        keep(self, part, fitted)
        monkeypatch.setattr(KeptParts, "keep", keep)
        raise Killed

    monkeypatch.setattr(KeptParts, "keep", keep_and_die)


@every_kind
def test_a_killed_bag_goes_on_to_the_same_bytes(kind, planted, tmp_path, killed_once):
    parts = small_parts(kind)[:3]
    with pytest.raises(Killed):
        fitted_bag(kind, planted, parts, checkpoints=tmp_path / "kept")
    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "kept").glob("*/part.json")}
    assert len(made) == 1
    again = fitted_bag(kind, planted, parts, checkpoints=tmp_path / "kept")
    again.save(tmp_path / "again")
    assert {path: path.stat().st_mtime_ns for path in made} == made
    assert len(list((tmp_path / "kept").glob("*/part.json"))) == 3
    whole = fitted_bag(kind, planted, parts, checkpoints=tmp_path / "whole")
    whole.save(tmp_path / "expected")
    assert folder_hashes(tmp_path / "again") == folder_hashes(tmp_path / "expected")
    assert (again.curves, again.lengths) == (whole.curves, whole.lengths)
    assert len(again.lengths) == (3 if kind == "mlp" else 0)


def test_a_network_that_is_killed_within_a_part_goes_on_there(planted, tmp_path):
    """Half of the second part is done when it dies; the learner's own checkpoint is found again."""
    parts, seen = small_parts("mlp")[:3], []

    def progress(done, total, unit):
        if done >= 45:
            raise Killed

    with pytest.raises(Killed):
        fitted_bag("mlp", planted, parts, checkpoints=tmp_path / "kept", progress=progress)
    assert [path.parent.name[:6] for path in (tmp_path / "kept").glob("*/fit")] == ["part-1"]
    again = fitted_bag("mlp", planted, parts, checkpoints=tmp_path / "kept", progress=lambda *at: seen.append(at[0]))
    again.save(tmp_path / "again")
    assert min(seen) > 33
    fitted_bag("mlp", planted, parts).save(tmp_path / "expected")
    assert folder_hashes(tmp_path / "again") == folder_hashes(tmp_path / "expected")


def test_a_damaged_part_is_fitted_again(planted, tmp_path):
    parts = small_parts("lightgbm")[:2]
    fitted_bag("lightgbm", planted, parts, checkpoints=tmp_path / "kept").save(tmp_path / "expected")
    first, second = sorted((tmp_path / "kept").iterdir())
    (first / "model" / "model.txt").write_text("half")
    note = json.loads((second / "part.json").read_text())
    (second / "part.json").write_text(json.dumps({**note, "sha256": "0"}))
    fitted_bag("lightgbm", planted, parts, checkpoints=tmp_path / "kept").save(tmp_path / "again")
    assert folder_hashes(tmp_path / "again") == folder_hashes(tmp_path / "expected")


def test_a_part_of_other_parameters_is_not_taken_for_it(planted, tmp_path):
    fitted_bag("lightgbm", planted, [BagPart(0, fast("lightgbm"))], checkpoints=tmp_path)
    other = {**fast("lightgbm"), "n_estimators": 5}
    model = fitted_bag("lightgbm", planted, [BagPart(0, other)], checkpoints=tmp_path)
    assert model.fitted[0].model.trained_with["trees"] == 5
    assert len(list(tmp_path.iterdir())) == 2
    assert np.isfinite(model.predict(planted.x[:100])).all()
