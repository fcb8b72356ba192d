"""Contracts of small tournament folders, and the errors that their damages must end in."""

from __future__ import annotations

from eraflow.data.catalog import CatalogError, read_catalog
from eraflow.data.contract import Contract
from eraflow.data.contractcheck import MissingFeatureError, MissingTargetError, check_contract
from eraflow.data.datafiles import DataFiles
from eraflow.data.eraindex import DuplicateIdError, NullEraError, NullIdError
from eraflow.data.eras import UnorderedErasError
from eraflow.data.footer import BadFeatureValueError, TruncatedFileError
from eraflow.settings.data import DataSettings
from tests.tournament_files import TournamentFiles, write_parquet


def contract_of(files: TournamentFiles, **settings) -> Contract:
    return checked(files, files.settings(**settings))


def checked(files: TournamentFiles, data: DataSettings, **more) -> Contract:
    found = DataFiles.in_folder(files.folder)
    return check_contract(found, data, read_catalog(found.features_json), **more)


def rewrite(files: TournamentFiles, name: str, change) -> None:
    write_parquet(change(files.frames[name].copy()), files.path(name))


NAMED = {
    "truncated": (TruncatedFileError, "validation.parquet"),
    "renamed_feature": (MissingFeatureError, "agileer_1x, which features.json does not know"),
    "missing_feature": (MissingFeatureError, "live.parquet has no feature_agileer_1"),
    "value_7": (BadFeatureValueError, "feature_agileer_1 is 7"),
    "negative_value": (BadFeatureValueError, "feature_agileer_1 is -1"),
    "duplicate_id": (DuplicateIdError, "2 times in validation.parquet"),
    "duplicate_id_across": (DuplicateIdError, "train.parquet and validation.parquet"),
    "unordered_eras": (UnorderedErasError, "era 0049 comes after era 0050"),
    "scattered_era": (UnorderedErasError, "era 0031 of .* is scattered"),
    "overlapping_eras": (UnorderedErasError, "era 0030"),
    "null_era": (NullEraError, "row 120 of .*validation.parquet has no era"),
    "null_id": (NullIdError, "row 120"),
    "absent_target": (MissingTargetError, "target_ender_20, .*target_jasper_60"),
    "broken_features_json": (CatalogError, "is not JSON"),
}


def with_members(files: TournamentFiles, *targets: str, residual: bool = False, **settings) -> Contract:
    return checked(files, files.settings(**settings), auxiliary=targets, residual=residual)
