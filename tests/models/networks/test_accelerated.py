"""Training through Accelerate. There is no GPU where these run: Accelerate is told to use the CPU, or is a stand-in."""

from __future__ import annotations

import json
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from eraflow.machine.failures import StageNaN, classify
from eraflow.machine.plan import Plan
from models.base.libraries import MissingLibraryError
from models.kinds import make_model
from tests.models.networks.killedfits import Killed, dies_at
from tests.models.planted import FAST_MLP

torch = pytest.importorskip("torch")
accelerate = pytest.importorskip("accelerate")
modules = pytest.importorskip("tests.models.networks.modules")
accelerated = pytest.importorskip("models.networks.accelerated")
gradient = pytest.importorskip("models.networks.gradient")
loop = pytest.importorskip("models.networks.loop")


@pytest.fixture(scope="module")
def data():
    return modules.planted()


@pytest.fixture
def accelerator():
    """Accelerate's own, on the CPU."""
    return accelerate.Accelerator(cpu=True)


@pytest.fixture
def on_gpu(monkeypatch, accelerator):
    """The loop believes that there is a GPU; `on_gpu.accelerator` is what it finds there."""
    found = SimpleNamespace(accelerator=accelerator)
    monkeypatch.setattr(loop, "device_of", lambda plan: accelerated.Accelerated(plan, found.accelerator))
    monkeypatch.setattr("models.networks.networkmodel.usable_device", lambda plan: "cuda")
    return found


class OutOfMemoryError(RuntimeError):
    """As torch.cuda's."""


def lacks_memory(patch, least_rows):
    """No piece with more rows than these finds memory."""
    original, seen = gradient.BatchGradient._computed, []

    def lacking(self, own, piece):
        seen.append(len(piece.rows))
        if len(piece.rows) > least_rows:
            raise OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return original(self, own, piece)

    patch.setattr(gradient.BatchGradient, "_computed", lacking)
    return seen


@pytest.mark.parametrize("name", sorted(modules.MADE))
def test_every_module_learns_much_as_on_the_cpu(name, data, on_gpu, accelerator):
    """Without noise the pieces make no difference but rounding; batch normalisation sees other pieces."""
    recipe = modules.Recipe(updates=72, batch_size=300, learning_rate=0.02, weight_decay=0.01)
    module = modules.trained(name, data, recipe=recipe, batch_rows=500)
    x, y, offsets = data
    wide = (torch.from_numpy(x).float() - 2) * np.sqrt(0.5)
    with torch.no_grad():
        values = module(wide, torch.from_numpy(offsets)) if name == "eras" else module(wide)
    known = ~np.isnan(y)
    assert np.corrcoef(values.numpy()[known], y[known])[0, 1] > 0.3


def test_a_lack_of_gpu_memory_halves_the_pieces_not_the_update_and_is_told(data, on_gpu, monkeypatch, tmp_path):
    x, y, _ = data
    params = {**FAST_MLP, "dropout": 0.0, "batch_size": 1_700, "updates": 6}
    plan = Plan(device="cuda", batch_rows=1_700)
    roomy = make_model("mlp", params)
    roomy.fit(x, y, plan=plan, seed=3)
    assert "rows_at_once" not in roomy.trained_with
    seen = lacks_memory(monkeypatch, 500)
    tight = make_model("mlp", params)
    tight.fit(x, y, plan=plan, seed=3)
    assert tight.trained_with["rows_at_once"] == 425
    assert seen.count(max(seen)) == 1  # found out once, not at every update
    np.testing.assert_allclose(tight.predict(x), roomy.predict(x), atol=1e-4)  # the same update up to rounding
    tight.save(tmp_path)
    assert json.loads((tmp_path / "model.json").read_text())["trained_with"]["rows_at_once"] == 425


def test_that_rows_were_halved_outlives_a_kill(data, on_gpu, monkeypatch, tmp_path):
    x, y, _ = data
    plan = Plan(device="cuda", batch_rows=1_700)
    params = {**FAST_MLP, "batch_size": 1_700, "updates": 6}
    with monkeypatch.context() as patch:
        lacks_memory(patch, 500)
        make_model("mlp", params, checkpoints=tmp_path).fit(x, y, plan=plan, seed=3)
    again = make_model("mlp", params, checkpoints=tmp_path)
    again.fit(x, y, plan=plan, seed=3)
    assert again.trained_with["rows_at_once"] == 425


def test_rows_that_do_not_fit_are_fewer_and_told(data, on_gpu, monkeypatch):
    """The probe asks for a piece of 256 rows; it moves no weight, no buffer and no generator."""
    x, y, _ = data
    params = {**FAST_MLP, "batch_size": 1_700, "updates": 6}
    expected = make_model("mlp", params)
    expected.fit(x, y, plan=Plan(device="cuda", batch_rows=425), seed=3)
    probed = []

    def fits(self, flight, compute):
        compute(256)
        probed.append(flight.rows)
        return 425

    monkeypatch.setattr(accelerated.Accelerated, "rows_that_fit", fits)
    model = make_model("mlp", params)
    model.fit(x, y, plan=Plan(device="cuda", batch_rows=1_700), seed=3)
    assert probed == [1_700]
    assert model.trained_with["rows_at_once"] == 425
    assert model.predict(x).tobytes() == expected.predict(x).tobytes()


def test_with_the_smallest_piece_the_ladder_has_the_answer(data, on_gpu, monkeypatch):
    seen = lacks_memory(monkeypatch, 10)
    with pytest.raises(OutOfMemoryError) as raised:
        modules.trained("plain", data, batch_rows=1_024)
    assert classify(raised.value) == "vram"
    assert seen == [571, 512, 256]


class Half(accelerate.Accelerator):
    """Half precision as on a GPU: Accelerate itself would leave it out on the CPU, and say nothing."""

    mixed_precision = "fp16"

    def __init__(self, scale):
        super().__init__(cpu=True)
        self.native_amp, self.scaler = True, torch.amp.GradScaler("cpu", init_scale=scale)

    def autocast(self):
        return torch.autocast("cpu", dtype=torch.float16)


@pytest.mark.filterwarnings("error::UserWarning")  # torch warns of a schedule that runs ahead of its optimiser
@pytest.mark.parametrize("name", ["plain", "buffers"])
def test_what_overflows_in_half_precision_is_computed_anew_and_no_update_is_lost(name, data, on_gpu):
    made = []
    for scale in (2.0**16, 2.0**40):
        on_gpu.accelerator = Half(scale)
        made.append(modules.content(modules.trained(name, data)))
    assert 1 < on_gpu.accelerator.scaler.get_scale() < 2.0**30
    assert made[0] == made[1]
    assert all(np.isfinite(np.frombuffer(made[0][key], np.float32)).all() for key in made[0] if "weight" in key)


def test_an_overflow_that_no_scale_cures_is_named(data, on_gpu, monkeypatch):
    on_gpu.accelerator = Half(2.0**16)
    computed = gradient.BatchGradient._computed

    def endless(self, own, piece):
        result = computed(self, own, piece)
        result.gradients[0].fill_(float("inf"))
        return result

    monkeypatch.setattr(gradient.BatchGradient, "_computed", endless)
    with pytest.raises(StageNaN, match="the gradient norm of plain is inf at update 0"):
        modules.trained("plain", data)
    assert on_gpu.accelerator.scaler.get_scale() == accelerated.LEAST_SCALE


def test_killed_and_resumed_in_half_precision_is_the_same_model_on_the_same_scale(data, on_gpu, monkeypatch, tmp_path):
    on_gpu.accelerator = Half(2.0**40)
    expected, scale = modules.content(modules.trained("plain", data)), on_gpu.accelerator.scaler.get_scale()
    on_gpu.accelerator = Half(2.0**40)
    with monkeypatch.context() as patch:
        dies_at(patch, 7)
        with pytest.raises(Killed):
            modules.trained("plain", data, checkpoints=tmp_path)
    on_gpu.accelerator = Half(1.0)  # what it begins with is not what it goes on with
    assert modules.content(modules.trained("plain", data, checkpoints=tmp_path)) == expected
    assert on_gpu.accelerator.scaler.get_scale() == scale


def test_without_accelerate_the_error_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "accelerate", None)
    with pytest.raises(MissingLibraryError, match=r"eraflow\[networks\].*machine.device=cpu"):
        accelerated.Accelerated(Plan(device="cuda"))


def test_accelerate_is_not_imported_where_there_is_no_gpu():
    program = """
import sys
import numpy as np
from eraflow.machine.plan import Plan
from models.kinds import make_model
x = np.random.default_rng(0).integers(0, 5, (600, 3), dtype=np.int8)
make_model("mlp", {"hidden": [4], "updates": 3}).fit(x, x[:, 0] / 4, plan=Plan(device="cuda"), seed=1)
exit("torch" not in sys.modules or "accelerate" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
