"""The faults of the sandbox and the tests beside this file know each other."""

from __future__ import annotations

from pathlib import Path

from eraflow.sandbox.faults import Faults


def test_every_fault_is_met_in_this_folder() -> None:
    """A fault that nobody arms proves nothing."""
    text = "".join(path.read_text() for path in sorted(Path(__file__).parent.glob("test_*_faults.py")))
    assert [name for name in Faults.names() if text.count(name) == 0] == []
