"""Era stores of small tournament folders, and what they must hold."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from eraflow.erastore.erareader import EraStore
from eraflow.erastore.erawriter import write_era_store
from tests.tournament_files import TARGETS, TournamentFiles, write_tournament


def store_of(files: TournamentFiles, out: Path, **options) -> EraStore:
    arguments = {"features": files.features, "columns": TARGETS, **options}
    return write_era_store([files.path("train"), files.path("validation")], out=out, **arguments)


def joined_of(files: TournamentFiles):
    both = [files.path("train_benchmark_models"), files.path("validation_benchmark_models")]
    return {"v53_lgbm_ender60": both, "numerai_meta_model": files.path("meta_model")}


def frame_of(files: TournamentFiles) -> pd.DataFrame:
    return pd.concat([files.frames["train"], files.frames["validation"]])


def check_equal(store: EraStore, frame: pd.DataFrame, features) -> None:
    codes = frame[list(features)].astype("float64").fillna(2).to_numpy()
    np.testing.assert_array_equal(store.matrix(), codes)
    np.testing.assert_array_equal(store.ids(), frame.index.to_numpy(dtype=str))
    assert store.eras == tuple(frame["era"].unique())
    np.testing.assert_array_equal(np.array(store.eras)[store.era_codes()], frame["era"].to_numpy(dtype=str))
    for name in store.columns:
        if name in frame:
            np.testing.assert_array_equal(store.column(name), frame[name].to_numpy(dtype="float64"))


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> TournamentFiles:
    return write_tournament(tmp_path_factory.mktemp("files"))


@pytest.fixture(scope="module")
def store(files, tmp_path_factory) -> EraStore:
    return store_of(files, tmp_path_factory.mktemp("store"), joined=joined_of(files))


def digests(store: EraStore) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(store.path.iterdir())}
