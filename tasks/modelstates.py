"""The states of an uploaded model as they change: a line of the log and a version of a table on the run's page each."""

from __future__ import annotations

from datetime import UTC, datetime

from prefect.artifacts import create_table_artifact
from prefect.runtime import flow_run

from tasks.pages.artifacts import Place, shown
from tasks.runlog import run_log

KEY = "uploaded-model"
SHOWN = 400  # characters of what is said in a cell of the table; the log has it all


class ShownStates:
    """Takes each change of a state, and shows it.

    Args:
        sha256: of the model.
    """

    def __init__(self, sha256: str) -> None:
        self._sha256 = sha256
        self._rows: list[dict[str, str]] = []

    def show(self, what: str, word: str, said: str) -> None:
        """One change: what (`validation`, `slot`, `run`, `submission`), its word, and what is said of it."""
        run_log().info("uploaded model: %s %s%s", what, word, f" ({said})" if said else "")
        moment = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}"
        self._rows.append({"UTC": moment, "what": what, "state": word, "said": said[:SHOWN]})
        if flow_run.get_id() is None:  # by hand: there is no page
            return
        rows = list(self._rows)
        shown(
            lambda: create_table_artifact(rows, key=KEY, description=f"Uploaded model {self._sha256[:12]}"),
            Place.RESULT,
        )
