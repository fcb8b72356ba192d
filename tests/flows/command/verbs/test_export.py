"""`eraflow export` and `eraflow rehearse` from the command line to the verdict."""

import json

import pytest

from flows.command.cli import main
from flows.command.verbs.rehearse import words
from tests.eraflow.rehearsal.environments import BUILT, KEPT, interpreter
from tests.models.delivery.conftest import trained, write_members
from tests.models.planted import plant

pytestmark = BUILT


@pytest.fixture(scope="module")
def ensemble(tmp_path_factory):
    planted = plant(eras=8)
    return write_members(
        tmp_path_factory.mktemp("ensemble"), {"lightgbm": trained("lightgbm", planted.x, planted.y)}, planted.features
    )


def test_an_ensemble_is_exported_and_rehearsed(ensemble, tmp_path, capfd):
    interpreter("3.11")
    out = tmp_path / "new" / "model.pkl"
    python = ["--python", "3.11", "--home", str(KEPT), "--json"]
    assert main(["export", "--ensemble", str(ensemble), "--out", str(out), *python]) == 0
    made = json.loads(capfd.readouterr().out.splitlines()[-1])
    assert (made["members"], made["python"], made["bytes"]) == (["lightgbm"], "3.11", out.stat().st_size)
    assert sorted(path.name for path in out.parent.iterdir()) == ["model.pkl", "model.pkl.reference"]
    assert main(["rehearse", str(out), "--no-docker", "--eras", "1", *python]) == 0
    verdict = json.loads(capfd.readouterr().out.splitlines()[-1])
    assert (verdict["passed"], verdict["sha256"], verdict["live"]["rows"]) == (True, made["sha256"], 7000)
    assert main(["rehearse", str(out), "--no-docker", "--eras", "1", "--seconds", "0.5", *python]) == 1
    verdict = json.loads(capfd.readouterr().out.splitlines()[-1])
    assert [one["code"] for one in verdict["faults"]] == ["pickle_time"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["export", "--ensemble", "{place}", "--out", "{place}/m.pkl", "--python", "3.9"], "unknown_python"),
        (["export", "--ensemble", "{place}/saved", "--out", "{place}/m.pkl"], "holds no ensemble.json"),
        (["export", "--run-dir", "{place}", "--out", "{place}/m.pkl"], "holds no blend"),
        (["rehearse", "--home", "{place}/home"], "rehearse needs a pickle"),
        (["rehearse", "--update", "{place}/none.lock", "--home", "{place}/home"], "lock_file"),
    ],
)
def test_what_cannot_be_is_one_line_with_a_remedy(ensemble, capfd, arguments, said):
    assert main([one.format(place=ensemble) for one in arguments]) == 2
    line = capfd.readouterr().err.splitlines()[-1]
    assert said in line
    assert "; " in line


def test_the_words_fit_a_terminal_and_end_with_the_verdict():
    figures = {"rows": 7000, "eras": 1, "ties": 0.0, "seconds": 31.25, "peak_mb": 812.0}
    verdict = {
        "file": "model.pkl",
        "python": "3.12",
        "where": "an environment of the image's versions",
        "pins": "2026-04-14",
        "room": {"memory_mb": 4096, "seconds": 600},
        "no_network": ["seccomp"],
        "live": figures,
        "grown": [{**figures, "eras": 32}, {"eras": 64, "fits": False, "seconds": 1.0, "peak_mb": 4100.0}],
        "eras_that_fit": {"time": 64, "memory": 42},
        "validation": {"rows": 4_130_000, "seconds": 92_345.0, "calls": 1620},
        "estimate": {
            "cpu_seconds": 620.4,
            "memory_mb": 4100.0,
            "members": {"lightgbm": {"cpu_seconds": 600.0, "memory_mb": 900.0}},
        },
        "to_drop": ["lightgbm"],
        "parts": [
            {"name": "mlp", "difference": 2e-6, "tolerance": 1e-5},
            {"name": "the whole", "difference": 0.0, "tolerance": 1e-4},
        ],
        "faults": [{"code": "pickle_nan", "problem": "3 predictions are NaN", "remedy": "fill"}],
        "passed": False,
    }  # fmt: skip
    lines = words(verdict).splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[-1] == "failed: Numerai could not use this model"
    assert "64 eras at once do not fit; fewer do" in lines
    assert "expected for a live era: 620.4 seconds, 4100 MiB" in lines
    assert lines[-3:-1] == ["lightgbm: 600.0 seconds, 900 MiB", "the fewest to drop until it fits: lightgbm"]
    assert "pickle_nan: 3 predictions are NaN; fill" in lines
