"""From an ensemble to a pickle that predicts the same where this project is not."""

import json
import pickletools
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from eraflow.disk.digest import file_sha256
from eraflow.rehearsal.reference import Reference, reference_path
from models.delivery.export import AssemblyError, assemble
from models.delivery.parts import NotExportableError, shipped_ensemble
from models.ensembles.ensemble import Ensemble
from models.kinds import make_model
from tests.models.delivery.conftest import run_alone, trained, write_members
from tests.models.planted import PLAN
from tests.own_models import FOLDER

ALONE = """
import json, sys
import numpy as np, pandas as pd
predict, frame = pd.read_pickle(sys.argv[1]), pd.read_parquet(sys.argv[2])
found = predict(frame, None)
np.save("members.npy", predict.members(frame[predict.features].to_numpy(np.int8)[:100]))
found.to_parquet("found.parquet")
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


@pytest.fixture(scope="module")
def alone(shipped, tmp_path_factory):
    """Three eras, predicted by the pickle in a process without this project."""
    folder = tmp_path_factory.mktemp("alone")
    frame = shipped.frame(eras=3)
    frame.to_parquet(folder / "live.parquet")
    modules = json.loads(run_alone(ALONE, folder, str(shipped.pickle), str(folder / "live.parquet")))
    return folder, frame, modules


def test_ranks_are_those_of_the_pipeline(shipped, alone):
    folder, frame, _ = alone
    found = pd.read_parquet(folder / "found.parquet")
    assert (list(found.columns), found.index.name) == (["prediction"], "id")
    assert list(found.index) == list(frame.index)
    expected = shipped.expected(frame)
    for start in (0, 100, 200):
        order = np.argsort(np.argsort(expected[start : start + 100]))
        np.testing.assert_allclose(found["prediction"].to_numpy()[start : start + 100], (order + 0.5) / 100, atol=1e-12)


def test_every_part_says_what_its_model_says(shipped, alone):
    folder, frame, _ = alone
    codes = np.ascontiguousarray(frame.drop(columns="era").to_numpy(np.int8)[:100])
    found = np.load(folder / "members.npy")
    ensemble = shipped.ensemble
    expected = ensemble.completed(ensemble.predict_members(codes), codes, np.array([0, 100]))
    for at, name in enumerate(ensemble.members):
        np.testing.assert_allclose(found[:, at], expected[:, at], rtol=0, atol=1e-6, err_msg=name)


def test_neither_torch_nor_this_project_is_imported(alone):
    _, _, modules = alone
    assert {"torch", "eraflow", "models", "flows", "transformers", "tabm"} & set(modules) == set()
    assert {"lightgbm", "xgboost", "catboost"} <= set(modules)


def test_nothing_of_this_project_and_no_object_of_pandas_stands_in_the_pickle(shipped):
    texts = {str(value) for _, value, _ in pickletools.genops(shipped.pickle.read_bytes()) if isinstance(value, str)}
    names = {text for text in texts if ":" not in text and "." in text}  # those with a colon are keys of ours
    assert [text for text in names if text.startswith(("eraflow.", "models.", "pandas.core", "pandas._libs"))] == []


def test_the_reference_beside_it_is_of_this_pickle(shipped):
    found = Reference.read(reference_path(shipped.pickle))
    assert found.told["pickle_sha256"] == file_sha256(shipped.pickle)
    assert found.told["signature"] == shipped.ensemble.signature
    assert [part["name"] for part in found.told["parts"]] == list(shipped.ensemble.members)
    assert found.members.shape == (300, len(shipped.ensemble.members))


def test_the_same_parts_give_the_same_bytes(shipped, tmp_path):
    told = assemble(shipped.folder / "parts", Path(sys.executable), tmp_path / "again.pkl", "3.11")
    assert told["sha256"] == file_sha256(shipped.pickle)


def test_an_interpreter_that_fails_leaves_no_pickle_and_is_named(shipped, tmp_path):
    (tmp_path / "model.pkl.reference").write_bytes(b"of an older one")
    with pytest.raises(AssemblyError, match="false"):
        assemble(shipped.folder / "parts", Path("/bin/false"), tmp_path / "model.pkl", "3.11")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("interpreter", "said"), [("/nowhere/python", "nowhere"), ("hang", "timed out")])
def test_an_interpreter_that_hangs_or_is_not_there_is_named(shipped, tmp_path, monkeypatch, interpreter, said):
    monkeypatch.setattr("models.delivery.export.ASSEMBLY_SECONDS", 0.2)
    hanging = tmp_path / "hang"
    hanging.write_text("#!/bin/sh\nexec sleep 60\n")
    hanging.chmod(0o755)
    out = tmp_path / "out" / "model.pkl"
    out.parent.mkdir()
    with pytest.raises(AssemblyError, match=said):
        assemble(shipped.folder / "parts", hanging if interpreter == "hang" else Path(interpreter), out, "3.11")
    assert list(out.parent.iterdir()) == []


def test_xgboost_writes_its_base_score_as_a_number(shipped):
    """A list of one number is read as .5 by the versions in Numerai's images, without an error."""
    model = trained("xgboost", shipped.planted.x, shipped.planted.y + 41.95)
    told = json.loads(model.portable())["learner"]["learner_model_param"]["base_score"]
    assert float(told) == pytest.approx(np.float32(shipped.planted.y.mean() + 41.95), abs=0.01)


def test_a_model_of_a_users_own_is_refused_by_name(shipped, tmp_path):
    own = make_model(f"{FOLDER}/mine.py:Ridge")
    own.fit(shipped.planted.x, shipped.planted.y, plan=PLAN, seed=1)
    place = write_members(tmp_path, {"ridge": own}, shipped.planted.features)
    with pytest.raises(NotExportableError, match="ridge"):
        shipped_ensemble(Ensemble.load(place))
