"""The errors of the tournament as objects."""

from __future__ import annotations

import json
import pickle

from eraflow.numerai.errors import ServerDownError


def test_errors_cross_a_process_boundary() -> None:
    error = ServerDownError("what", "remedy")
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again)) == (ServerDownError, "server_down: what; remedy")
    assert json.dumps(str(again))
