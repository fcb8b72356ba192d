"""A library that is not installed: models of the profile are left out, one that somebody named is refused."""

import json
import subprocess
import sys

import pytest

from eraflow.kinds import KINDS
from eraflow.reports.weekreport import week_report
from eraflow.runs.weekrecord import note_left_out, week_record
from eraflow.settings.override import settings_from
from eraflow.settings.run import RunSettings
from flows.command.starting.summary import summary
from flows.command.terminal.printing import plain
from models.base import libraries
from models.base.libraries import MissingLibraryError, present_members
from models.training.refusals import refuse_settings

OPTIONAL_MLP = [{"kind": "lightgbm"}, {"kind": "mlp", "optional": True}]


@pytest.fixture
def absent(monkeypatch):
    """Names of libraries that are not to be found."""
    names = set()
    found = libraries.find_spec
    monkeypatch.setattr(libraries, "find_spec", lambda name: None if name in names else found(name))
    return names


def test_every_kind_names_its_library():
    assert all(kind.library for kind in KINDS.values())
    assert present_members(RunSettings()) == (RunSettings(), {})


@pytest.mark.parametrize("kind", ["mlp", "transformer", "gatv2", "gin", "catboost", "xgboost"])
def test_what_the_profile_brings_is_left_out_and_what_is_named_is_refused(absent, kind):
    library = KINDS[kind].library
    absent.add(library)
    from_profile = RunSettings(models=[{"kind": "lightgbm"}, {"kind": kind, "optional": True}])
    settings, left_out = present_members(from_profile)
    assert [model.name for model in settings.models] == ["lightgbm"]
    assert library in left_out[kind].problem
    assert "pip install" in left_out[kind].remedy
    with pytest.raises(MissingLibraryError, match=library):
        present_members(RunSettings(models=[{"kind": "lightgbm"}, {"kind": kind}]))


def test_who_names_an_optional_member_wants_it(absent, monkeypatch):
    absent.add("torch")
    monkeypatch.setitem(settings_from.__globals__["PROFILES"], "sandbox", {"models": OPTIONAL_MLP})
    assert present_members(settings_from("sandbox", {}))[1].keys() == {"mlp"}
    assert present_members(settings_from("sandbox", {}, ["models.lightgbm.params.n_estimators=5"]))[1].keys() == {"mlp"}
    with pytest.raises(MissingLibraryError):
        present_members(settings_from("sandbox", {}, ["models=lightgbm,mlp"]))
    with pytest.raises(MissingLibraryError):
        present_members(RunSettings(models=OPTIONAL_MLP, selection={"models": ["mlp"]}))
    with pytest.raises(MissingLibraryError):  # nothing would be left
        present_members(RunSettings(models=OPTIONAL_MLP[1:]))


def test_record_summary_and_report_tell_what_was_left_out(tmp_path):
    note_left_out(tmp_path, {"mlp": MissingLibraryError("mlp needs torch, which is not installed", "install it")})
    record = week_record(tmp_path)
    assert record["left_out"]["mlp"]["code"] == "missing_library"
    (tmp_path / "record.json").write_text(json.dumps(record))
    for told in (" ".join(plain(summary(record, RunSettings(), "")).split()), week_report(tmp_path, {})):
        assert "mlp needs torch" in told.replace("**mlp**: ", "")


def test_without_torch_everything_but_the_networks_is_imported():
    """Every module of the product but those of the networks, in a process that cannot import torch."""
    program = """
import importlib, pkgutil, sys
class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "torch_geometric", "transformers", "tabm"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, NoTorch())
import eraflow, flows, models, tasks
without = "arrayoperations autoencoder autoencoderarrays batches featuregroups inputs mlp networkmodel".split()
without += "parameters perceptronarrays recipe torchlibrary transformer transformerarrays transformershape".split()
without += "tabm tabmarrays tabmlibrary tabmshape transformerslibrary weightfile".split()
without += "featuregraph grapharrays graphmodel graphshape".split()
for package in (eraflow, models, tasks, flows):
    for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        room, _, name = found.name.rpartition(".")
        needs_torch = found.name == "models.compression.vae" or (room == "models.networks" and name not in without)
        if not needs_torch and name != "__main__":
            importlib.import_module(found.name)
"""
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False).stderr == ""


def test_a_code_of_the_features_is_refused_before_any_work_where_it_cannot_be_learnt(absent):
    models = [{"kind": "lightgbm"}]
    refuse_settings(RunSettings(models=models, data={"code": "vae"}), print)
    absent.add("torch")
    refuse_settings(RunSettings(models=models), print)
    with pytest.raises(MissingLibraryError, match=r"data\.code=vae needs torch"):
        refuse_settings(RunSettings(models=models, data={"code": "vae"}), print)
