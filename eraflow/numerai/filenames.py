"""What the tournament says of its files: their names, and for one of them the signed address to fetch it from."""

from __future__ import annotations

from difflib import get_close_matches

from eraflow.numerai.answers import Address, Text, question
from eraflow.numerai.errors import ApiRefusedError, NoSuchFileError
from eraflow.numerai.graphql import GraphQLClient

_FILES = """
    query ($round: Int
           $tournament: Int) {
        listDatasets(round: $round
                     tournament: $tournament)
    }
"""
# The query of numerapi's download_dataset, whose own transfer skips and splices.
_DATASET = """
    query ($filename: String!
           $round: Int
           $tournament: Int) {
        dataset(filename: $filename
                round: $round
                tournament: $tournament)
    }
"""


def list_files(graphql: GraphQLClient, version: str | None = None) -> list[str]:
    """Names of the data set's files, of one version or of all."""
    names = graphql.ask("listing the files", question(_FILES, "listDatasets", list[Text | None], {"round": None}))
    return sorted(name for name in names if name and (version is None or name.startswith(f"{version}/")))


def signed_url(graphql: GraphQLClient, name: str) -> str:
    """A fresh address of a file; one call, so that the caller counts the attempts.

    Raises:
        NoSuchFileError: there is no such file; with the nearest names.
        ApiRefusedError: there is, but it is not given.
    """
    ask = question(_DATASET, "dataset", Address | None, {"filename": name, "round": None})
    try:
        url: str | None = graphql.ask_once(f"asking for the address of {name}", ask)
    except ApiRefusedError as error:
        raise _no_such_file(graphql, name, error) from error
    if not url:
        raise _no_such_file(graphql, name, None)
    return url


def _no_such_file(
    graphql: GraphQLClient, name: str, refusal: ApiRefusedError | None
) -> ApiRefusedError | NoSuchFileError:
    names = list_files(graphql)
    if refusal is not None and name in names:
        return refusal
    near = get_close_matches(name, names, n=3, cutoff=0.0) or ["none at all"]
    return NoSuchFileError(
        f"the data set has no file {name!r}; the nearest of its {len(names)} files: {', '.join(near)}",
        "correct data.version (an old version may have been retired)",
    )
