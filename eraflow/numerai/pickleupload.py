"""A model is uploaded: its image and data version resolved by name, its bytes put and checked, registered once.

Each step looks first what is there already, by the name of the file, which holds the hash of its bytes: so whoever was
killed between two steps goes on after the last one, and nothing is uploaded twice.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path

from numerapi import NumerAPI

from eraflow.disk.atomic import StorageError
from eraflow.numerai.answers import Created, FileAuth, question
from eraflow.numerai.errors import NotConfirmedError, TournamentError
from eraflow.numerai.fileput import put_file
from eraflow.numerai.graphql import GraphQLClient
from eraflow.numerai.pickleanswers import OfferRow
from eraflow.numerai.pickleerrors import NotOfferedError
from eraflow.numerai.pickles import PickleState, failed, pickles_of

# As in numerapi's model_upload.
_AUTH = """
    query($filename: String! $modelId: String) {
        computePickleUploadAuth(filename: $filename
                                modelId: $modelId) {
            filename
            url
        }
    }
"""
_CREATE = """
    mutation($filename: String!
             $tournament: Int!
             $modelId: String
             $dataVersionId: String
             $dockerImageId: String) {
        createComputePickleUpload(filename: $filename
                                  tournament: $tournament
                                  modelId: $modelId
                                  dataVersionId: $dataVersionId
                                  dockerImageId: $dockerImageId) {
            id
        }
    }
"""
_IMAGES = "query { computePickleDockerImages { id name image deprecated } }"
_VERSIONS = "query { computePickleDataVersions { id name deprecated } }"
SHOWN_HASH = 16


@dataclass(frozen=True)
class WantedUpload:
    """What is to be uploaded.

    Attributes:
        pickle: the file.
        sha256: of the bytes that were rehearsed.
        python: of the image that is to run it, such as 3.11.
        data_version: name of the data that it is to be given, such as v5.3.
    """

    pickle: Path
    sha256: str
    python: str
    data_version: str

    @property
    def stem(self) -> str:
        """What the name of the upload begins with."""
        return f"eraflow-{self.sha256[:SHOWN_HASH]}"

    def is_made_by(self, state: PickleState) -> bool:
        """Whether an upload is of these bytes, for this image and data version."""
        image = not state.image or _is_for(self.python, state.image)
        return self.stem in state.filename and image and state.data_version in ("", self.data_version)


def uploaded(graphql: GraphQLClient, wanted: WantedUpload, model_id: str) -> PickleState:
    """The upload of these bytes: found, or made.

    Raises:
        NotOfferedError: no image for this Python, or no such data version, is offered; nothing was sent.
        StorageError: the file cannot be read, or is not the one that was rehearsed.
        UploadRefusedError: the PUT was not answered with 2xx; nothing was registered.
        NotConfirmedError: no answer to the registration, and whether it arrived cannot be read.
    """
    before = _found(graphql, wanted, model_id)
    if before is not None:
        graphql.policy.log(f"this model is uploaded already, as {before.id}")
        return before
    image, version = offered_image(graphql, wanted.python), offered_version(graphql, wanted.data_version)
    content = read_rehearsed(wanted)
    variables = {"filename": f"{wanted.stem}.pkl", "modelId": model_id}
    asked = question(_AUTH, "computePickleUploadAuth", FileAuth, variables, key=True)
    ask: Callable[[], FileAuth] = partial(graphql.ask_once, "asking where to upload the model", asked, needs_key=True)
    stored = put_file(graphql, "uploading the model", ask, content, f"{wanted.stem}.pkl")
    graphql.policy.log(f"the model is uploaded: {len(content)} bytes, sha256 {wanted.sha256[:SHOWN_HASH]}")
    return _registered(graphql, stored, model_id, image.id, version.id)


def read_rehearsed(wanted: WantedUpload) -> bytes:
    """The bytes, when they are those that were rehearsed.

    Raises:
        StorageError: they cannot be read, or are others.
    """
    try:
        content = wanted.pickle.read_bytes()
    except OSError as error:
        raise StorageError(f"cannot read {wanted.pickle}: {error.strerror}", "export the model again") from error
    found = sha256(content).hexdigest()
    if found != wanted.sha256:
        raise StorageError(
            f"{wanted.pickle} has changed since it was rehearsed (sha256 {found[:12]}, not {wanted.sha256[:12]})",
            "export and rehearse it again; nothing was sent",
        )
    return content


def offered_image(graphql: GraphQLClient, python: str) -> OfferRow:
    """The image for a Python such as 3.11; NotOfferedError lists those that are offered."""
    rows = _offers(graphql, _IMAGES, "computePickleDockerImages", "listing the images")
    found = [row for row in rows if _is_for(python, f"{row.name} {row.image or ''}")]
    return _the_one(found, rows, f"no image for Python {python}", "--set submit.python=X.Y")


def offered_version(graphql: GraphQLClient, name: str) -> OfferRow:
    """The data version of a name; NotOfferedError lists those that are offered."""
    rows = _offers(graphql, _VERSIONS, "computePickleDataVersions", "listing the data versions")
    found = [row for row in rows if row.name.lower().lstrip("v") == name.lower().lstrip("v")]
    return _the_one(found, rows, f"no data version {name}", "data.version, and train on it")


def _offers(graphql: GraphQLClient, query: str, field: str, what: str) -> list[OfferRow]:
    asked = question(query, field, list[OfferRow | None] | None, {}, key=True)
    rows: list[OfferRow | None] = graphql.ask(what, asked, needs_key=True) or []
    return [row for row in rows if row is not None]


def _the_one(found: Sequence[OfferRow], rows: Sequence[OfferRow], lacking: str, setting: str) -> OfferRow:
    alive = [row for row in found if not row.deprecated]
    if alive:
        return alive[0]
    gone = " any more: it is deprecated" if found else ""
    names = ", ".join(row.name for row in rows if not row.deprecated) or "nothing"
    raise NotOfferedError(f"Numerai offers {lacking}{gone}; it offers {names}", f"choose one of them by {setting}")


def _is_for(python: str, text: str) -> bool:
    """Whether a name of an image, `Python 3.11` or `numerai_predict_py_3_11`, is of this Python."""
    return re.search(rf"(?<!\d){re.escape(python).replace(chr(92) + '.', '[._]')}(?!\d)", text) is not None


def _found(graphql: GraphQLClient, wanted: WantedUpload, model_id: str) -> PickleState | None:
    states = pickles_of(graphql, model_id)
    return next((state for state in states if wanted.is_made_by(state) and not failed(state.validation)), None)


def _registered(graphql: GraphQLClient, filename: str, model_id: str, image_id: str, version_id: str) -> PickleState:
    """Register what was put; when the answer is lost, or is an error, it is looked for before it is asked again."""
    what = "registering the model"
    create = _create(filename, model_id, image_id, version_id)

    def ask() -> PickleState:
        created: Created = graphql.ask_once(what, create, needs_key=True)
        return PickleState(created.id, filename, "pending")

    return graphql.policy.once(what, ask, partial(_arrived, graphql, filename, model_id))


def _arrived(graphql: GraphQLClient, filename: str, model_id: str, error: TournamentError) -> PickleState | None:
    try:
        return next((state for state in pickles_of(graphql, model_id) if state.filename == filename), None)
    except TournamentError as unread:
        raise NotConfirmedError(
            f"{filename} was uploaded; whether it was registered is not known ({error.problem})",
            "run again: the same model is recognised and not uploaded twice",
        ) from unread


def _create(filename: str, model_id: str, image_id: str, version_id: str) -> Callable[[NumerAPI], Created]:
    variables = {"filename": filename, "modelId": model_id, "dataVersionId": version_id, "dockerImageId": image_id}
    return question(_CREATE, "createComputePickleUpload", Created, variables, key=True)
