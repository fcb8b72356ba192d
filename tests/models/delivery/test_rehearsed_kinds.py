"""Every kind of model survives Numerai's own Pythons and libraries, part by part."""

import json

import pytest

from eraflow.rehearsal.faults import PicklePartError
from eraflow.rehearsal.reference import Reference, reference_path
from eraflow.rehearsal.rehearsing import rehearse
from models.delivery.export import assemble
from tests.eraflow.rehearsal.environments import BUILT, interpreter, stage

pytestmark = BUILT


@pytest.mark.parametrize("python", ["3.11", "3.12"])
def test_every_kind_says_there_what_it_says_here(shipped, tmp_path, python):
    assemble(shipped.folder / "parts", interpreter(python), tmp_path / "model.pkl", python)
    verdict = rehearse(tmp_path / "model.pkl", stage(python, rows=150, eras=2), tmp_path / "work")
    assert verdict["faults"] == []
    assert [part["name"] for part in verdict["parts"]] == [*shipped.ensemble.members, "the whole"]
    assert {"torch", "torch_geometric", "eraflow", "models"} & set(verdict["modules"]) == set()


def test_an_xgboost_whose_base_score_is_misread_is_caught(shipped, tmp_path):
    """What 3.1 and newer write by themselves: the older version there shifts every prediction, without an error."""
    told = json.loads((shipped.folder / "parts" / "parts.json").read_text())
    content = next(part["content"]["bytes"] for part in told["shipped"]["parts"] if part["name"] == "far-from-zero")
    for path in (shipped.folder / "parts").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    model = json.loads((tmp_path / content).read_text())
    described = model["learner"]["learner_model_param"]
    described["base_score"] = f"[{described['base_score']}]"
    (tmp_path / content).write_text(json.dumps(model))
    assemble(tmp_path, interpreter("3.11"), tmp_path / "model.pkl", "3.11")
    verdict = rehearse(tmp_path / "model.pkl", stage(rows=150), tmp_path / "work")
    assert {one["code"] for one in verdict["faults"]} == {PicklePartError.code}
    assert verdict["faults"][0]["problem"].startswith("far-from-zero differs")
    assert len(Reference.read(reference_path(tmp_path / "model.pkl")).told["parts"]) == len(verdict["parts"]) - 1
