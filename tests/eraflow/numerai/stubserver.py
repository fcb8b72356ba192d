"""A tiny tournament on the loopback that counts its requests and fails on demand. Only for the tests of the client."""

from __future__ import annotations

import json
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PUBLIC, SECRET = "PUBLICID", "S3CRET-never-shown"
OPERATIONS = (
    "submission_upload_auth",
    "submissionDownloadAuth",
    "create_submission",
    "submissions",
    "listDatasets",
    "dataset",
    "rounds",
    "account",
)
DROP = "drop"  # close the connection without an answer
HANG = "hang"  # answer nothing until the test ends


class Stub:
    """The state of the tournament. Tests change it; `asked` counts what came in.

    Attributes:
        faults: operation -> what its next requests meet: a status code, DROP, HANG, bytes (the raw answer) or a dict
            (the JSON answer); when used up, the operation works.
        files: name -> content; etags: name -> label.
        serve: when set, answers GETs of files: (handler, name, content) -> None.
        states: the states that a submission shows, one for each look; the last stays.
    """

    def __init__(self) -> None:
        self.url = ""
        self.asked: Counter[str] = Counter()
        self.faults: dict[str, deque[Any]] = {}
        self.files: dict[str, bytes] = {}
        self.etags: dict[str, str] = {}
        self.serve: Callable[[Handler, str, bytes], None] | None = None
        self.headers: list[dict[str, str]] = []
        self.if_ranges: list[str | None] = []
        self.rounds: list[Any] = [round_row(1404)]
        self.upcoming: list[Any] = []
        self.no_round = False
        self.models = [{"id": "model-1", "name": "alpha", "tournament": 8}]
        self.uploads: dict[str, bytes] = {}
        self.submissions: list[dict[str, Any]] = []
        self.states = ["pending", "running", "success"]
        self.error_info: str | None = None
        self.filed_under: int | None = None
        self.hold: Callable[[bytes], bytes] = lambda content: content  # what an upload has become
        self.forget_answer = 0  # so many create_submission calls are done, but not answered
        self.released = threading.Event()

    def fail(self, operation: str, *answers: Any) -> None:
        self.faults[operation] = deque(answers)

    def answer(self, operation: str, variables: dict[str, Any]) -> Any:
        return getattr(self, f"_{operation}")(variables)

    def _listDatasets(self, _: Any) -> Any:
        return sorted(self.files)

    def _dataset(self, variables: dict[str, Any]) -> Any:
        name = variables["filename"]
        if name not in self.files:
            raise LookupError(f"Dataset {name} not found")
        return f"{self.url}/files/{name}?X-Amz-Signature=sig-secret"

    def _rounds(self, variables: dict[str, Any]) -> Any:
        if variables.get("status") == "UPCOMING":
            return self.upcoming
        if self.no_round:
            raise LookupError("Current round not open for submissions")
        return self.rounds

    def _account(self, _: Any) -> Any:
        return {"models": self.models}

    def _submission_upload_auth(self, variables: dict[str, Any]) -> Any:
        filename = variables["filename"].replace(".csv", f"-{self.asked['submission_upload_auth']}.csv")
        return {"filename": filename, "url": f"{self.url}/uploads/{filename}?X-Amz-Signature=sig-secret"}

    def _submissionDownloadAuth(self, variables: dict[str, Any]) -> Any:
        found = next(kept for kept in self.submissions if kept["id"] == variables["id"])
        return {"filename": found["filename"], "url": f"{self.url}/held/{found['filename']}?X-Amz-Signature=sig-secret"}

    def _create_submission(self, variables: dict[str, Any]) -> Any:
        number = len(self.submissions) + 1
        self.submissions.append(
            {
                "id": f"sub-{number}",
                "filename": variables["filename"],
                "round": self.filed_under or self.rounds[0]["number"],
                "at": datetime(2026, 11, 21, 12, number, tzinfo=UTC),
                "looks": 0,
            }
        )
        return {"id": f"sub-{number}"}

    def _submissions(self, _: Any) -> Any:
        rows = []
        for kept in self.submissions:
            status = self.states[min(kept["looks"], len(self.states) - 1)]
            kept["looks"] += 1
            rows.append(
                {
                    "id": kept["id"],
                    "filename": kept["filename"],
                    "status": status,
                    "errorInfo": self.error_info if status in ("error", "failed") else None,
                    "selected": status == "success",
                    "insertedAt": kept["at"].isoformat().replace("+00:00", "Z"),
                    "round": {"number": kept["round"]},
                }
            )
        return rows


def round_row(number: int, opens: timedelta = timedelta(hours=-1), lasts: timedelta = timedelta(hours=2)) -> dict:
    start = datetime.now(UTC) + opens
    return {
        "number": number,
        "target": "ender_60",
        "openTime": start.isoformat(),
        "closeStakingTime": (start + lasts).isoformat(),
        "payoutFactor": "0.1234",
        "dataDatestamp": 20261121,
        "roundScoreConfigs": [
            {"name": "corr60", "isPayout": True, "defaultMultiplier": 3.0, "clipThreshold": 1.0},
            {"name": "mmc60", "isPayout": True, "defaultMultiplier": 15.0},
            {"name": "fnc60", "isPayout": False, "defaultMultiplier": 1.0},
        ],
    }


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    stub: Stub

    def log_message(self, *_: Any) -> None:
        """Quiet."""

    def reply(self, status: int, content: bytes, **headers: Any) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": len(content), **headers}.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        self.wfile.write(content)

    def do_POST(self) -> None:
        stub = self.stub
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        operation = next(name for name in OPERATIONS if f"{name}(" in body["query"] or f"{name} " in body["query"])
        stub.asked[operation] += 1
        stub.headers.append({key.lower(): value for key, value in self.headers.items()})
        if stub.faults.get(operation):
            self._fault(stub.faults[operation].popleft())
            return
        try:
            answer = {"data": {operation: stub.answer(operation, body.get("variables") or {})}}
        except LookupError as error:
            answer = {"errors": [{"message": error.args[0]}]}
        if operation == "create_submission" and stub.forget_answer:
            stub.forget_answer -= 1
            self._fault(DROP)
            return
        self.reply(200, json.dumps(answer).encode())

    def _fault(self, fault: Any) -> None:
        if fault == DROP:
            self.close_connection = True
        elif fault == HANG:
            self.stub.released.wait(20)
            self.close_connection = True
        elif isinstance(fault, dict):
            self.reply(200, json.dumps(fault).encode())
        elif isinstance(fault, bytes):
            self.reply(200, fault)
        else:
            self.reply(int(fault), b'{"errors": "no"}', Retry_After=2)

    def do_GET(self) -> None:
        self.stub.asked["GET"] += 1
        name = self.path.removeprefix("/files/").partition("?")[0]
        held = self.path.removeprefix("/held/").partition("?")[0]
        if self.stub.faults.get("GET"):
            self._fault(self.stub.faults["GET"].popleft())
        elif self.path.startswith("/held/") and held in self.stub.uploads:
            self.reply(200, self.stub.hold(self.stub.uploads[held]))
        elif name not in self.stub.files:
            self.reply(404, b"")
        elif self.stub.serve is not None:
            self.stub.serve(self, name, self.stub.files[name])
        else:
            self.send_file(name, self.stub.files[name])

    def send_file(self, name: str, content: bytes) -> None:
        """As a good file server does: ETag, Range, If-Range."""
        etag = self.stub.etags.get(name)
        labels = {"ETag": etag} if etag else {}
        wanted = self.headers.get("Range")
        if wanted:
            self.stub.if_ranges.append(self.headers.get("If-Range"))
        if wanted and (self.headers.get("If-Range") in (None, etag)):
            start = int(wanted.removeprefix("bytes=").partition("-")[0])
            self.stub.asked["206"] += 1
            self.reply(206, content[start:], Content_Range=f"bytes {start}-{len(content) - 1}/{len(content)}", **labels)
        else:
            self.reply(200, content, **labels)

    def send_part(self, content: bytes, length: int, **labels: str) -> None:
        """Announce `length` bytes, send fewer, and break off."""
        self.send_response(200)
        for key, value in {"Content-Length": str(length), **labels}.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(content)
        self.wfile.flush()
        self.close_connection = True

    def do_HEAD(self) -> None:
        self.stub.asked["HEAD"] += 1
        self.reply(405, b"")

    def do_PUT(self) -> None:
        stub = self.stub
        stub.asked["PUT"] += 1
        content = self.rfile.read(int(self.headers["Content-Length"]))
        if stub.faults.get("PUT"):
            self._fault(stub.faults["PUT"].popleft())
            return
        stub.uploads[self.path.removeprefix("/uploads/").partition("?")[0]] = content
        self.reply(200, b"")


class QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """A client that went away is what the tests are about."""


@contextmanager
def stub_server() -> Iterator[Stub]:
    stub = Stub()
    handler = type("BoundHandler", (Handler,), {"stub": stub})
    server = QuietServer(("127.0.0.1", 0), handler)
    stub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield stub
    finally:
        stub.released.set()
        server.shutdown()
        server.server_close()


class FakeTime:
    """A clock that only moves when somebody sleeps; notes every pause."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    def clock(self) -> float:
        return self.now
