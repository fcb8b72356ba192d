"""Large footers, which are read in parts, give the same contracts, stores and errors."""

from __future__ import annotations

import pandas as pd
import pytest

from eraflow.data import footerparts
from eraflow.data.footer import read_footer
from eraflow.erastore.erawriter import write_era_store
from eraflow.machine.job import as_json
from tests.eraflow.data.contracts import NAMED, contract_of
from tests.tournament_files import DAMAGES, write_parquet, write_tournament


@pytest.fixture
def in_parts(monkeypatch):
    """Every footer counts as a large one, of which a few row groups are held at a time."""
    monkeypatch.setattr(footerparts, "LARGE_FOOTER", 0)
    monkeypatch.setattr(footerparts, "MOST_CHUNKS", 40)


@pytest.mark.parametrize("id_as", ["index", "column", "unnamed"])
@pytest.mark.parametrize("dtype", ["int8", "float32"])
def test_large_footers_read_in_parts_give_the_same_contract_and_store(tmp_path, request, id_as, dtype):
    files = write_tournament(
        tmp_path, train_eras=16, validation_eras=16, id_as=id_as, feature_dtype=dtype, row_groups="era"
    )
    text = pd.read_parquet(files.path("validation"))
    text["era"] = text["era"].astype("category")  # pandas' categories are dictionaries in Arrow
    write_parquet(text, files.path("validation"), row_groups="era")
    sources = [files.path("train"), files.path("validation")]
    whole = contract_of(files)
    columns = [whole.target]
    write_era_store(sources, whole.features, columns, tmp_path / "whole", eras=whole.resolved_eras)
    request.getfixturevalue("in_parts")
    parts = contract_of(files)
    assert (parts, as_json(parts)) == (whole, as_json(whole))
    assert read_footer(sources[0]).metadata is None  # it was read in parts indeed
    write_era_store(sources, whole.features, columns, tmp_path / "parts", eras=whole.resolved_eras)
    for file in sorted((tmp_path / "whole").iterdir()):
        if file.suffix == ".npy":
            assert file.read_bytes() == (tmp_path / "parts" / file.name).read_bytes(), file.name


@pytest.mark.parametrize("damage", sorted(set(DAMAGES) - {"value_7_hidden"}))
def test_damage_is_named_where_footers_are_read_in_parts(tmp_path, in_parts, damage):
    with pytest.raises(NAMED[damage][0], match=NAMED[damage][1]):
        contract_of(write_tournament(tmp_path, damage=damage, row_groups="era"))
