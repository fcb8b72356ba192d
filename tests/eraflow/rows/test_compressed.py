"""What a compressed file may hold: lines of a table, and no more of them than numbers need."""

import gzip
import lzma
import time

import pytest

from eraflow.errors import EraflowError
from eraflow.rows.compressed import CompressedFile
from eraflow.rows.csvtext import CsvText

HEAD = b"id,era,prediction\n"
MIB = 1 << 20


def compressed(path, pieces):
    content = b"".join(pieces)
    path.write_bytes(lzma.compress(content, preset=0) if path.suffix == ".xz" else gzip.compress(content, 9))
    return path


CRAFTED = {
    "one endless line": ([b"x" * MIB] * 30, "first line of more than"),
    "one endless line of values": ([HEAD, *[b"1," * (MIB // 2)] * 30], "a line, or empty lines|times its size"),
    "line ends alone": ([HEAD, *[b"\n" * MIB] * 100], "a line, or empty lines"),
    "an endless quoted value": ([HEAD, b'a,0001,"', *[b"5" * MIB] * 100], "a line, or empty lines"),
    "the same row for ever": ([HEAD, *[b"a,0001,0.5\n" * (MIB // 11)] * 40], "times its size"),
    "a million names": ([b",".join(b"c%d" % number for number in range(1_000_000)) + b"\n"], "1,000,000 columns"),
}


@pytest.mark.parametrize(
    ("what", "ending"), [*((what, ".csv.gz") for what in CRAFTED), ("one endless line of values", ".csv.xz")]
)
def test_crafted_files_end_quickly_in_little_memory(what, ending, tmp_path, monkeypatch):
    monkeypatch.setattr("eraflow.rows.compressed.SMALL_BYTES", MIB)
    pieces, says = CRAFTED[what]
    path = compressed(tmp_path / f"crafted{ending}", pieces)
    began = time.process_time()
    with pytest.raises(EraflowError, match=says) as caught:
        assert all(len(block) <= 16 * MIB for block, _, _ in CsvText(path).blocks(4 * MIB))
    assert time.process_time() - began < 10
    assert len(str(caught.value)) < 500


def test_tables_of_codes_are_not_taken_for_bombs(tmp_path):
    """The most that real ones are compressed: constant columns."""
    rows = [b"n%015x,0001,%s\n" % (number * 7919, b",".join([b"2"] * 300)) for number in range(20_000)]
    path = compressed(tmp_path / "codes.csv.gz", [HEAD, *rows])
    with CompressedFile(path) as file:
        file.first_line(MIB)
        assert sum(len(block) for block in file.lines(MIB)) == sum(map(len, rows))
