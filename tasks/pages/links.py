"""Addresses of pages in the Prefect UI, where a server is named that has one."""

from __future__ import annotations

from urllib.parse import urlsplit

from prefect.settings import PREFECT_API_URL, PREFECT_UI_URL


def ui_address() -> str | None:
    """Where the Prefect UI is, without a slash at its end; None when no server is named."""
    named = PREFECT_UI_URL.value() or (PREFECT_API_URL.value() or "").removesuffix("/").removesuffix("/api")
    return str(named).rstrip("/") or None


def flow_run_link(flow_run_id: object) -> str | None:
    """The page of a flow run."""
    address = ui_address()
    return f"{address}/runs/flow-run/{flow_run_id}" if address else None


def artifact_path(key: str) -> str:
    """The page of the newest artifact of a key, for a link on another page of the UI.

    Without the server's address: that of a run from the terminal ends with the run, its pages are looked at later.
    """
    return f"{urlsplit(ui_address() or '').path}/artifacts/key/{key}"
