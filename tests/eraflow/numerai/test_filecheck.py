import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest

from eraflow.data import footerparts
from eraflow.numerai.errors import DownloadCorruptError
from eraflow.numerai.filecheck import verify_parquet


@pytest.fixture(params=["whole", "in parts"])
def path(request, tmp_path, monkeypatch):
    """Ten row groups, whose footer is read as a whole or a few groups at a time."""
    if request.param == "in parts":
        monkeypatch.setattr(footerparts, "LARGE_FOOTER", 0)
        monkeypatch.setattr(footerparts, "MOST_CHUNKS", 12)
    rng = np.random.default_rng(1)
    columns = {f"feature_{number}": rng.integers(0, 5, 200, dtype=np.int8) for number in range(3)}
    pl.DataFrame({"id": [f"n{row:05d}" for row in range(200)], **columns}).write_parquet(
        tmp_path / "data.parquet", row_group_size=20
    )
    return tmp_path / "data.parquet"


def test_a_whole_file_passes(path):
    verify_parquet(path)


@pytest.mark.parametrize("group", [0, 4, 9])
def test_foreign_bytes_in_any_row_group_are_found_and_named(path, group):
    chunk = pq.read_metadata(path).row_group(group).column(0)
    start = chunk.dictionary_page_offset or chunk.data_page_offset
    content = bytearray(path.read_bytes())
    content[start : start + chunk.total_compressed_size] = b"\xff" * chunk.total_compressed_size
    path.write_bytes(content)
    with pytest.raises(DownloadCorruptError, match=r"data\.parquet"):
        verify_parquet(path)


def test_a_file_that_lost_bytes_in_the_middle_is_found(path):
    content = path.read_bytes()
    path.write_bytes(content[:300] + content[400:])
    with pytest.raises(DownloadCorruptError, match=r"data\.parquet"):
        verify_parquet(path)
