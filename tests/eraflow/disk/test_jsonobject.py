"""What cannot be read as an object counts as none, whatever it holds."""

import pytest

from eraflow.disk.jsonobject import read_object


@pytest.mark.parametrize("content", [b"", b"[1]", b"null", b"{", b"\xff\xfe", b'{"a":' * 100_000])
def test_what_is_no_object_is_none(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    assert read_object(tmp_path / "a.json") is None


def test_an_object_is_read_and_what_is_not_there_is_none(tmp_path):
    (tmp_path / "a.json").write_text('{"ä": 1}', encoding="utf-8")
    assert read_object(tmp_path / "a.json") == {"ä": 1}
    assert read_object(tmp_path / "b.json") is None
    assert read_object(tmp_path) is None
