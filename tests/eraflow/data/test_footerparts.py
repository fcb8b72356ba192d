import io

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eraflow.data import footerparts
from eraflow.data.compactprotocol import STRUCT, Cursor, UnusualFooterError, list_head, varint
from eraflow.data.footerparts import footer_bytes, walk_footer

WAYS = {
    "polars": lambda frame, path, rows: frame.write_parquet(path, row_group_size=rows),
    "no statistics": lambda frame, path, rows: frame.write_parquet(path, row_group_size=rows, statistics=False),
    "uncompressed": lambda frame, path, rows: frame.write_parquet(
        path, row_group_size=rows, compression="uncompressed"
    ),
    "pyarrow": lambda frame, path, rows: pq.write_table(frame.to_arrow(), path, row_group_size=rows),
    "pages of version 2": lambda frame, path, rows: pq.write_table(
        frame.to_arrow(), path, row_group_size=rows, data_page_version="2.0", write_page_index=True
    ),
    "pandas": lambda frame, path, rows: frame.to_pandas().set_index("id").to_parquet(path, row_group_size=rows),
}


def frame_of(rows=100, features=20):
    rng = np.random.default_rng(rows + features)
    columns = {f"feature_{number}": rng.integers(0, 5, rows, dtype=np.int8) for number in range(features)}
    return pl.DataFrame({"id": [f"n{row:05d}" for row in range(rows)], **columns, "x": rng.random(rows)})


def part_of(path, footer, first, stop):
    """Some row groups as a file in memory, the others' bytes being nothing."""
    whole, (begin, end) = path.read_bytes(), footer.data_span(first, stop)
    own = footer.part(io.BytesIO(whole), first, stop)
    return io.BytesIO(b"PAR1" + bytes(begin - 4) + whole[begin:end] + own)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("rows", "features", "group"), [(100, 20, 7), (200, 3, 1), (50, 20, 50), (90, 1, 30)])
def test_any_row_groups_are_a_file_again(tmp_path, way, rows, features, group):
    frame, path = frame_of(rows, features), tmp_path / "data.parquet"
    WAYS[way](frame, path, group)
    footer, whole = walk_footer(path), pq.read_metadata(path)
    assert footer.rows == rows
    assert sorted(footer.names) == sorted(frame.columns)
    assert [each.rows for each in footer.groups] == [
        whole.row_group(number).num_rows for number in range(whole.num_row_groups)
    ]
    for first in range(0, len(footer.groups), 5):
        stop = min(first + 5, len(footer.groups))
        expected = frame[first * group : stop * group]
        assert pl.read_parquet(part_of(path, footer, first, stop)).select(frame.columns).equals(expected)
        assert pq.read_table(part_of(path, footer, first, stop)).num_rows == len(expected)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300), st.integers(0, 400), st.integers(0, 400))
def test_damage_is_refused_or_harmless_and_nothing_else_is_raised(tmp_path_factory, noise, place, cut):
    path = tmp_path_factory.mktemp("damaged") / "data.parquet"
    frame_of(40, 5).write_parquet(path, row_group_size=8)
    content = bytearray(path.read_bytes())
    start = len(content) - 8 - footer_bytes(path)
    content[start + place : start + place + len(noise)] = noise
    del content[start + cut : start + cut + 1]
    path.write_bytes(content)
    try:
        footer = walk_footer(path)
    except UnusualFooterError:
        return
    assert sum(group.rows for group in footer.groups) == footer.rows


def test_nested_columns_are_left_to_others(tmp_path):
    pq.write_table(pa.table({"id": ["a"], "pair": [{"x": 1, "y": 2}]}), tmp_path / "nested.parquet")
    with pytest.raises(UnusualFooterError, match="column of columns"):
        walk_footer(tmp_path / "nested.parquet")
    pq.write_table(pa.table({"id": ["a"], "many": [[1, 2]]}), tmp_path / "lists.parquet")
    with pytest.raises(UnusualFooterError):
        walk_footer(tmp_path / "lists.parquet")


def test_the_size_of_a_footer_is_that_of_parquet_only(tmp_path):
    path = tmp_path / "data.parquet"
    frame_of().write_parquet(path)
    assert footer_bytes(path) == pq.read_metadata(path).serialized_size
    path.write_bytes(path.read_bytes()[:-1])
    assert footer_bytes(path) == 0
    path.write_bytes(b"PAR1")
    assert footer_bytes(path) == 0
    path.write_bytes(b"")
    assert footer_bytes(path) == 0


def test_numbers_are_written_as_they_are_read(tmp_path):
    for number in (0, 1, 14, 15, 127, 128, 300, 1 << 31, (1 << 62) + 5):
        cursor = Cursor(varint(number << 1) + b"\0", 0)
        assert cursor.signed() == number
    for number in (0, 1, 14, 15, 127, 128, 300):
        cursor = Cursor(list_head(number) + bytes(number), 0)
        assert cursor.list_head() == (number, STRUCT)
    with pytest.raises(UnusualFooterError, match="longer than the file"):
        Cursor(list_head(1 << 50), 0).skip(9)


def test_endless_nesting_and_endless_numbers_are_refused():
    for content in (b"\x19" * 4096, b"\x1c" * 4096, b"\x99" * 4096):
        for kind in (9, 12):
            with pytest.raises((UnusualFooterError, IndexError)):
                Cursor(content, 0).skip(kind)
    with pytest.raises(UnusualFooterError, match="64 bits"):
        Cursor(b"\xff" * (1 << 20), 0).varint()


def structs(content, cursor):
    """The bytes of each struct of a list."""
    found = []
    for _ in range(cursor.list_head()[0]):
        begin = cursor.place
        cursor.skip(STRUCT)
        found.append(content[begin : cursor.place])
    return found


def reordered(content, lists, order):
    """A struct in which the lists of the given fields are replaced by what `order` makes of their structs."""
    cursor, made, last, begin = Cursor(content, 0), b"", 0, 0
    for field, kind in cursor.fields():
        made += content[begin : cursor.place]
        begin = cursor.place
        if field in lists:
            changed = order(field, structs(content, cursor))
            made += list_head(len(changed)) + b"".join(changed)
        else:
            cursor.skip(kind)
            made += content[begin : cursor.place]
        begin, last = cursor.place, field
    assert last
    return made + b"\0"


def test_columns_whose_data_lie_in_another_order_are_left_to_others(tmp_path):
    frame, path = frame_of(60, 6), tmp_path / "data.parquet"
    pq.write_table(frame.to_arrow(), path, row_group_size=8, store_schema=False)
    whole, size = path.read_bytes(), footer_bytes(path)

    def columns(_field, chunks):
        return chunks[::-1]

    def order(field, entries):
        if field == footerparts.SCHEMA:
            return [entries[0], *entries[:0:-1]]
        return [reordered(entry, {footerparts.GROUP_COLUMNS}, columns) for entry in entries]

    footer = reordered(whole[-8 - size : -8], {footerparts.SCHEMA, footerparts.GROUPS}, order)
    path.write_bytes(whole[: -8 - size] + footer + len(footer).to_bytes(4, "little") + b"PAR1")
    assert pl.read_parquet(path).select(frame.columns).equals(frame)  # a good file it is
    with pytest.raises(UnusualFooterError, match="order"):
        walk_footer(path)
