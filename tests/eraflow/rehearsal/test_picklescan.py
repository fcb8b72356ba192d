"""What a pickle refers to is read without loading it."""

import pickle

import numpy as np
import pandas as pd
import pytest

from eraflow.rehearsal.faults import PickleUnreadableError
from eraflow.rehearsal.picklescan import references, scanned_faults


class Deadly:
    """It would say so, if somebody loaded it."""

    def __reduce__(self):
        raise_it = exec
        return raise_it, ("raise SystemExit('it was loaded')",)


def kept(tmp_path, value, protocol=5):
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps(value, protocol=protocol))
    return path


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_references_are_told_and_nothing_is_loaded(tmp_path, protocol):
    assert ("builtins" if protocol > 2 else "__builtin__", "exec") in references(kept(tmp_path, Deadly(), protocol))


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize(
    "held", [pd.Categorical(["a"]), pd.Series([1]), pd.DataFrame({"a": [1]}), pd.Index([1]), pd.RangeIndex(3)]
)
def test_objects_of_pandas_are_found(tmp_path, held, protocol):
    assert [one.code for one in scanned_faults(kept(tmp_path, {"more": [1, held]}, protocol))] == ["pickle_pandas"]


def test_classes_of_pandas_and_arrays_are_no_objects_of_it(tmp_path):
    assert scanned_faults(kept(tmp_path, [pd.DataFrame, np.arange(3), "pandas.core.arrays", b"text", 1.5])) == []


def test_modules_of_this_project_are_found(tmp_path):
    from models.networks.perceptronarrays import forward

    found = scanned_faults(kept(tmp_path, {"repeated": [forward, forward]}))
    assert [one.code for one in found] == ["pickle_project"]
    assert "models.networks.perceptronarrays" in found[0].problem


@pytest.mark.parametrize("content", [b"", b"no pickle", b"\x80\x05\x8c"])
def test_what_is_no_pickle_is_named(tmp_path, content):
    (tmp_path / "a.pkl").write_bytes(content)
    with pytest.raises(PickleUnreadableError, match="is no pickle"):
        references(tmp_path / "a.pkl")
