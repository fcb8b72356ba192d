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
from tests.models.planted import FAST_MLP, PLAN

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


class Scaler:
    """A stand-in for torch's GradScaler: a scale that halves at an overflow."""

    def __init__(self, scale=2.0**16):
        self.now = scale

    def scale(self, loss):
        return loss * self.now

    def get_scale(self):
        return self.now

    def state_dict(self):
        return {"now": self.now}

    def load_state_dict(self, state):
        self.now = state["now"]


class Scaled:
    """A stand-in for an Accelerator in half precision."""

    def __init__(self, overflows=0):
        self.device, self.scaler = torch.device("cpu"), Scaler()
        self.is_main_process, self.process_index, self.num_processes = True, 0, 1
        self.autocast = lambda: torch.autocast("cpu", dtype=torch.bfloat16)
        self.overflows, self.steps = overflows, 0

    def prepare(self, optimizer):
        self.step, optimizer.step = optimizer.step, lambda: self.stepped(optimizer)
        return optimizer

    def unscale_gradients(self, optimizer):
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                parameter.grad.div_(self.scaler.now)
                if self.overflows > self.steps:
                    parameter.grad.fill_(float("inf"))

    def stepped(self, optimizer):
        self.steps += 1
        if all(parameter.grad.isfinite().all() for group in optimizer.param_groups for parameter in group["params"]):
            self.step()
        else:
            self.scaler.now /= 2


def test_half_precision_scales_the_loss_and_leaves_out_what_overflows(data, on_gpu):
    on_gpu.accelerator = Scaled(overflows=2)
    module = modules.trained("plain", data)
    assert on_gpu.accelerator.steps == 9
    assert on_gpu.accelerator.scaler.now == 2.0**14
    assert all(parameter.isfinite().all() for parameter in module.parameters())


def test_an_overflow_that_no_scale_cures_is_named(data, on_gpu):
    on_gpu.accelerator = Scaled(overflows=99)
    recipe = modules.Recipe(updates=90, batch_size=700, learning_rate=0.01, weight_decay=0.0)
    with pytest.raises(StageNaN, match="the gradient norm of plain is inf at update 16"):
        modules.trained("plain", data, recipe=recipe)


def test_the_scale_is_part_of_a_checkpoint(data, on_gpu, tmp_path):
    on_gpu.accelerator = Scaled(overflows=2)
    modules.trained("plain", data, checkpoints=tmp_path)
    on_gpu.accelerator = Scaled()
    modules.trained("plain", data, checkpoints=tmp_path)
    assert on_gpu.accelerator.scaler.now == 2.0**14


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


TOGETHER = """
import json, sys
import torch
from accelerate import Accelerator, debug_launcher
from models.networks import loop
from models.networks.accelerated import Accelerated
from tests.models.networks import modules

def train(folder):
    loop.device_of = lambda plan: Accelerated(plan, Accelerator(cpu=True))
    for name in ("still", "eras"):
        module = modules.trained(name, modules.planted())
        torch.save(module.state_dict(), f"{folder}/{name}-{Accelerator(cpu=True).process_index}.pt")

modules.MADE["still"] = lambda: torch.nn.Sequential(torch.nn.Linear(12, 1), torch.nn.Flatten(0))
if __name__ == "__main__":
    debug_launcher(train, (sys.argv[1],), num_processes=2)
"""


@pytest.mark.slow
def test_two_processes_together_make_the_update_of_one(data, tmp_path, monkeypatch):
    monkeypatch.setitem(modules.MADE, "still", lambda: torch.nn.Sequential(torch.nn.Linear(12, 1), torch.nn.Flatten(0)))
    ran = subprocess.run([sys.executable, "-c", TOGETHER, str(tmp_path)], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr[-2000:]
    expected = modules.trained("still", data, threads=PLAN.threads).state_dict()
    for name in ("still", "eras"):
        first, second = (torch.load(tmp_path / f"{name}-{process}.pt", weights_only=True) for process in (0, 1))
        for key, tensor in first.items():
            assert torch.equal(tensor, second[key])
            if name == "still":
                torch.testing.assert_close(tensor, expected[key])
