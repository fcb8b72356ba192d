"""A week on a latent code of the features ends in an accepted submission; a code that collapses ends it by name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flows.weekly import weekly
from models.compression.collapse import LatentCollapseError
from tests.weeks import tiny

pytest.importorskip("torch")

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("prefect_server")]

MEMBERS = [
    {"kind": "lightgbm", "params": {"n_estimators": 30, "learning_rate": 0.1}},
    {"kind": "mlp", "params": {"hidden": [16], "updates": 40}},
]
CODE = {"code": "vae", "code_size": 4, "code_hidden": [16], "code_updates": 80, "code_beta": 0.1}


@pytest.mark.parametrize("use", ["beside", "instead"])
def test_the_week_is_accepted_with_boosters_and_networks(tmp_path, use):
    settings = tiny(tmp_path, models=MEMBERS, data={**CODE, "code_use": use}, run_dir=str(tmp_path / "run"))
    record = weekly(settings)
    assert (record["outcome"], record["lost_code"], record["lost_models"]) == ("submitted", None, {})
    width = 4 if use == "instead" else 20
    assert {tuple(member["features"]) for member in record["members"].values()} == {(width,) * 3}
    ensemble = Path(settings.run_dir) / "blend" / "ensemble"
    assert len(json.loads((ensemble / "ensemble.json").read_text())["features"]) == 16
    assert (ensemble / "models" / "mlp" / "encoder" / "encoder.npy").is_file()
    assert (Path(settings.run_dir) / "vae" / "groups.csv").is_file()


def test_a_collapse_ends_the_week_before_anything_is_trained(tmp_path):
    settings = tiny(tmp_path, models=MEMBERS, data={**CODE, "code_beta": 1e4, "code_warmup": 0.0, "code_updates": 300})
    settings = settings.model_copy(update={"run_dir": str(tmp_path / "run")})
    with pytest.raises(LatentCollapseError, match=r"lower data\.code_beta"):
        weekly(settings)
    assert not list((tmp_path / "run").glob("train-*"))
