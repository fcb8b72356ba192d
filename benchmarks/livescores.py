"""Live scores of three years and ten slots: fetched over HTTP, kept, compared with their promises, and drawn.

Each slot has 156 weekly rounds with a backtest of 330 eras behind each, and every day of 60 of five scores. The answers
are made beforehand, so what is measured is Eraflow's own work and none of the server's.

    python -m benchmarks.livescores
"""

from __future__ import annotations

import json
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.aims import note
from eraflow.livescores.livetext import live_text
from eraflow.livescores.promise import LivePromise, keep_promise, promises
from eraflow.livescores.store import slot_scores
from eraflow.livescores.table import live_lines
from eraflow.livescores.watch import scored_rounds, standing
from eraflow.numerai.client import Tournament
from eraflow.numerai.graphql import Endpoint

SLOTS, ROUNDS, ERAS, HORIZON = 10, 156, 330, 60
NAMES = ("corr60", "mmc60", "bmc60", "corr20", "mmc20")
AIM_SECONDS = 10
FIRST = datetime(2024, 1, 6, 13, tzinfo=UTC)


def main() -> None:
    """Measure and print."""
    answers = [json.dumps({"data": {"submissionScores": _rows(slot)}}).encode() for slot in range(SLOTS)]
    with tempfile.TemporaryDirectory() as home, _server(answers) as url:
        for slot in range(SLOTS):
            _promise(Path(home), slot)
        tournament = Tournament(Endpoint(url, "PUBLIC", "SECRET"))
        begun, worked = time.monotonic(), time.process_time()
        rows = sum(_slot(Path(home), tournament, slot) for slot in range(SLOTS))
        first, worked = time.monotonic() - begun, time.process_time() - worked
        begun = time.monotonic()
        fresh = sum(_slot(Path(home), tournament, slot) for slot in range(SLOTS))
        again = time.monotonic() - begun
    print(f"{SLOTS} slots, {ROUNDS} rounds each: {rows:,} values fetched, kept, compared and drawn in {first:.1f} s")
    print(f"of which the processor worked {worked:.1f} s, the server that answers among it")
    print(f"told again, {fresh} of them new: {again:.1f} s")
    note("live scores of three years, ten slots", "< 10 s", f"{first:.1f} s", first < AIM_SECONDS)


def _slot(home: Path, tournament: Tournament, slot: int) -> int:
    """Everything that a flow does for one slot; how many values are new."""
    kept = slot_scores(home, "numerai", f"slot-{slot}", f"model{slot}")
    told, _ = tournament.live_scores(f"slot-{slot}")
    fresh = kept.add(told, datetime.now(UTC))
    promised = promises(kept.folder)
    years = [standing(each) for each in scored_rounds(kept.newest(), promised)]
    live_text(kept.name, live_lines(kept, promised), years)
    return fresh


def _rows(slot: int) -> list[dict[str, Any]]:
    rng = np.random.default_rng(slot)
    return [
        {
            "submissionId": _submission(slot, number),
            "roundNumber": number,
            "displayName": name,
            "day": day,
            "date": (FIRST + timedelta(weeks=number, days=4 + day * 7 // 5)).isoformat(),
            "value": round(float(rng.normal(0.01, 0.02)), 6),
            "percentile": 0.6,
            "resolved": day == int(name[-2:]),
        }
        for number in range(ROUNDS)
        for name in NAMES
        for day in range(1, int(name[-2:]) + 1)
    ]


def _promise(home: Path, slot: int) -> None:
    rng, folder = np.random.default_rng([slot, 1]), slot_scores(home, "numerai", f"slot-{slot}").folder
    per_era = {metric: rng.normal(0.01, 0.02, ERAS).tolist() for metric in ("corr", "mmc", "bmc", "payout")}
    for number in range(ROUNDS):
        named = (_submission(slot, number), number, "signature", "run", "target_ender_60", HORIZON)
        keep_promise(folder, LivePromise(*named, {"corr60": 3.0, "mmc60": 15.0}, per_era))


def _submission(slot: int, number: int) -> str:
    return f"{slot:04d}-{number:04d}"


@contextmanager
def _server(answers: list[bytes]) -> Iterator[str]:
    """Answers the question for slot N with answer N."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            answer = answers[int(asked["variables"]["modelId"].rpartition("-")[2])]
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Nothing is told."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


if __name__ == "__main__":
    main()
