"""A user's own class as a model: it is saved with its source, and its errors are told with their lines."""

import json
import os

import numpy as np
import pytest

from eraflow.machine.failures import StageNaN
from eraflow.machine.plan import Plan
from eraflow.ownkinds import ModelClassError
from models.base.protocol import DamagedModelError, ModelSettingsError
from models.kinds import load_model, make_model
from models.own.ownmodel import OwnModelFailedError
from tests.models.planted import PLAN, plant
from tests.own_models import RIDGE, WHOLE, install_package, write_model_file


@pytest.fixture(scope="module")
def planted():
    return plant(eras=10, rows=50)


def fitted(tmp_path, planted, source=RIDGE, name="Ridge", **more):
    model = make_model(f"{write_model_file(tmp_path, source)}:{name}", more.pop("params", {}), **more)
    model.fit(planted.x, planted.y, plan=PLAN, seed=1)
    return model


def test_a_saved_model_does_not_depend_on_the_users_file(tmp_path, planted):
    model = fitted(tmp_path / "home", planted, params={"penalty": 3.0})
    model.save(tmp_path / "saved")
    (tmp_path / "home" / "mine.py").unlink()
    loaded = load_model(tmp_path / "saved")
    assert loaded.predict(planted.x).tobytes() == model.predict(planted.x).tobytes()
    described = json.loads((tmp_path / "saved" / "model.json").read_text())
    assert described["kind"] == "mine.py:Ridge"
    assert str(tmp_path) not in json.dumps(described), "a run's bytes do not depend on where it lies"
    assert (described["library"], described["params"]) == ("mine.py", {"penalty": 3.0})
    loaded.save(tmp_path / "again")
    assert (tmp_path / "again" / "model.json").read_bytes() == (tmp_path / "saved" / "model.json").read_bytes()


@pytest.mark.parametrize("part", ["source.py", "saved/weights.npy", "model.json"])
@pytest.mark.parametrize("how", ["changed", "gone"])
def test_a_part_that_is_changed_or_gone_is_damage(tmp_path, planted, part, how):
    fitted(tmp_path, planted).save(tmp_path / "saved")
    path = tmp_path / "saved" / part
    if how == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(DamagedModelError):
        load_model(tmp_path / "saved")


def test_the_class_sees_only_the_columns_that_are_used(tmp_path, planted):
    columns = [0, 1, 5]
    model = fitted(tmp_path, planted, columns=columns)
    narrow = make_model(f"{tmp_path}/mine.py:Ridge")
    narrow.fit(np.ascontiguousarray(planted.x[:, columns]), planted.y, plan=PLAN, seed=1)
    np.testing.assert_array_equal(model.predict(planted.x), narrow.predict(planted.x[:, columns]))
    model.save(tmp_path / "saved")
    assert load_model(tmp_path / "saved").columns == (0, 1, 5)


def test_the_order_of_x_in_memory_does_not_change_a_bit(tmp_path, planted):
    model = fitted(tmp_path, planted)
    assert model.predict(np.asfortranarray(planted.x)).tobytes() == model.predict(planted.x).tobytes()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("known = ~np.isnan(y)", "x -= 2; known = ~np.isnan(y)"),
        ("return (x - 2.0) @ self.weights", "x -= 2; return x @ self.weights"),
    ],
)
def test_the_rows_that_others_read_too_cannot_be_written_into(tmp_path, planted, before, after):
    assert before in RIDGE
    mine = planted.x.copy()
    model = make_model(f"{write_model_file(tmp_path, RIDGE.replace(before, after))}:Ridge")
    with pytest.raises(OwnModelFailedError, match=r"line \d+ of mine\.py: ValueError: .*read-only"):
        model.fit(mine, planted.y, plan=PLAN, seed=1) or model.predict(mine)
    np.testing.assert_array_equal(mine, planted.x)
    assert mine.flags.writeable


def test_scratch_and_checkpoints_are_offered_to_who_takes_them(tmp_path, planted):
    source = RIDGE.replace("def __init__(self, params):", "def __init__(self, params, scratch=None):") + (
        "\n    def __len__(self):\n        return 7\n"
    )
    source = source.replace("self.penalty =", "self.scratch = scratch; self.penalty =")
    model = make_model(f"{write_model_file(tmp_path, source)}:Ridge", scratch=tmp_path, checkpoints=tmp_path)
    assert model._learner.scratch == tmp_path


@pytest.mark.parametrize(
    ("before", "after", "error", "named"),
    [
        ("known = ~np.isnan(y)", "raise TypeError('odd')", OwnModelFailedError, r"fit in line \d+ of mine.py: TypeErr"),
        ("return (x - 2.0) @ self.weights", "return x.absent", OwnModelFailedError, "failed in predict"),
        ("return (x - 2.0) @ self.weights", "return x - 2.0", ModelClassError, r"float64\[500, 12\] for 500 rows"),
        ("return (x - 2.0) @ self.weights", "return ['a'] * len(x)", ModelClassError, "one number for each row"),
        ("return (x - 2.0) @ self.weights", "return x[:, 0] * 1j", ModelClassError, "complex128"),
        ("return (x - 2.0) @ self.weights", "return [[1], [2, 3]]", OwnModelFailedError, "failed in predict"),
        ("return (x - 2.0) @ self.weights", "return np.nan * x[:, 0]", StageNaN, "returned NaN"),
        ("known = ~np.isnan(y)", "raise SystemExit(3)", OwnModelFailedError, r"fit in line \d+ of mine.py: SystemExit"),
        ('np.save(folder / "weights.npy", self.weights)', "pass", ModelClassError, "save wrote nothing"),
        ("known = ~np.isnan(y)", "raise MemoryError('full')", MemoryError, "full"),
        ("known = ~np.isnan(y)", "raise RuntimeError('CUDA out of memory')", RuntimeError, "out of memory"),
    ],
)
def test_what_a_class_does_wrong_is_told_and_what_the_machine_lacks_stays_as_it_is(
    tmp_path, planted, before, after, error, named
):
    assert before in RIDGE

    def use():
        model = fitted(tmp_path, planted, RIDGE.replace(before, after))
        model.predict(planted.x)
        model.save(tmp_path / "saved")

    with pytest.raises(error, match=named):
        use()


def test_params_that_the_class_refuses_are_named(tmp_path, planted):
    source = RIDGE.replace('params.get("penalty", 100.0)', 'float(params["strength"])')
    with pytest.raises(ModelSettingsError, match=r"mine\.py:Ridge does not accept .* KeyError: 'strength'"):
        fitted(tmp_path, planted, source)


def test_whole_eras_come_one_at_a_time_with_their_offsets(tmp_path, planted):
    kind = f"{write_model_file(tmp_path, WHOLE)}:Relative"
    eras = np.arange(0, 501, 50)
    model = make_model(kind)
    model.fit(planted.x, planted.y, plan=PLAN, seed=1, eras=eras)
    together = model.predict(planted.x, plan=Plan(threads=2), eras=eras)
    apart = [model.predict(planted.x[start : start + 50], eras=np.array([0, 50])) for start in range(0, 500, 50)]
    np.testing.assert_array_equal(together, np.concatenate(apart))
    assert not np.array_equal(together, model.predict(planted.x, eras=np.array([0, 500])))
    model.save(tmp_path / "saved")
    assert json.loads((tmp_path / "saved" / "model.json").read_text())["needs_whole_eras"] is True


def test_an_installed_class_is_loaded_from_its_package(tmp_path, planted, monkeypatch):
    install_package(tmp_path / "site", monkeypatch)
    model = make_model("ridge")
    model.fit(planted.x, planted.y, plan=PLAN, seed=1)
    model.save(tmp_path / "saved")
    assert sorted(os.listdir(tmp_path / "saved")) == ["model.json", "saved"]
    assert load_model(tmp_path / "saved").predict(planted.x).tobytes() == model.predict(planted.x).tobytes()
    described = json.loads((tmp_path / "saved" / "model.json").read_text())
    assert (described["kind"], described["library"], described["library_version"]) == ("ridge", "toy-ridge", "1.0")
