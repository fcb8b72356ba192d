"""The part of Numerai's GraphQL protocol that the sandbox answers, and how a request is answered.

Names, types and nullability follow the public schema of the tournament API. As there, an operation also answers to its
snake_case name where numerapi uses it, and a variable may be declared `String` where an argument is an `ID`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    GraphQLError,
    GraphQLResolveInfo,
    GraphQLSchema,
    OperationDefinitionNode,
    build_schema,
    parse,
    specified_rules,
    validate,
)
from graphql.execution import ExecutionResult, execute_sync
from graphql.validation import VariablesInAllowedPositionRule

# Operations that need a key; asked without one they end in 401.
_KEYED = """account model submissions submissionUploadAuth submission_upload_auth createSubmission create_submission
submissionDownloadAuth diagnosticsUploadAuth createDiagnostics diagnostics computePickleUploadAuth
createComputePickleUpload computePickles assignPickleToModel triggerComputePickleUpload triggerLogs"""
KEY_NEEDED = frozenset(_KEYED.split())

_ERA_SCORES = """examplePredsCorr validationAlpha validationBmc validationChurn validationCorr validationCorrV4
validationFeatureCorrMax validationFeatureNeutralCorr validationFeatureNeutralCorrV3 validationMmc validationFncV4
validationIcV2 validationRic"""

_DIAGNOSTICS = """examplePredsCorrMean validationCorrMean validationCorrMeanRating validationCorrPlusMmcMean
validationCorrPlusMmcMeanRating validationCorrPlusMmcSharpe validationCorrPlusMmcSharpeDiff
validationCorrPlusMmcSharpeDiffRating validationCorrPlusMmcSharpeRating validationCorrPlusMmcStd
validationCorrPlusMmcStdRating validationCorrSharpe validationCorrSharpeRating validationCorrStd
validationCorrStdRating validationFeatureCorrMax validationFeatureCorrMaxRating validationFeatureNeutralCorrMean
validationFeatureNeutralCorrMeanRating validationMaxDrawdown validationMaxDrawdownRating validationMmcMean
validationMmcMeanRating validationMmcSharpe validationMmcSharpeRating validationMmcStd validationMmcStdRating
validationBmcMean validationAdjustedSharpe validationApy validationAutocorr validationCorrCorrWExamplePreds
validationCorrMaxDrawdown validationCorrV4CorrWExamplePreds validationCorrV4MaxDrawdown validationCorrV4Mean
validationCorrV4Sharpe validationCorrV4Std validationFeatureNeutralCorrV3Mean
validationFeatureNeutralCorrV3MeanRating validationFncV4CorrWExamplePreds validationFncV4MaxDrawdown
validationFncV4Mean validationFncV4Sharpe validationFncV4Std validationIcV2CorrWExamplePreds
validationIcV2MaxDrawdown validationIcV2Mean validationIcV2Sharpe validationIcV2Std validationRicCorrWExamplePreds
validationRicMaxDrawdown validationRicMean validationRicSharpe validationRicStd validationAlphaCorrWExamplePreds
validationAlphaMaxDrawdown validationAlphaMean validationAlphaSharpe validationAlphaStd"""


def _floats(names: str) -> str:
    return " ".join(f"{name}: Float" for name in names.split())


_UPLOAD = "(filename: String!, tournament: Int!, modelId: ID): FileUploadAuth"
_SUBMIT = """(filename: String!, tournament: Int!, modelId: ID, triggerId: ID, source: String, version: Int,
    dataDatestamp: Int): Submission"""

SDL = f"""
scalar Time

enum RoundStatus {{ UPCOMING OPEN RESOLVING RESOLVED }}

type Query {{
  listDatasets(round: Int, tournament: Int): [String]
  dataset(filename: String!, round: Int, tournament: Int): String
  rounds(tournament: Int, number: Int, target: String, status: RoundStatus, limit: Int): [Round]
  account: Account
  accountProfile(username: String!, tournament: Int = 8): AccountProfile
  model(modelId: ID): Model
  submissions(id: ID, modelId: ID): [Submission]
  submissionUploadAuth{_UPLOAD}
  submission_upload_auth{_UPLOAD}
  submissionDownloadAuth(id: ID!): FileUploadAuth
  submissionScores(modelId: ID!, displayName: String, version: String, day: Int, resolved: Boolean, tournament: Int,
    lastNRounds: Int, distinctOnRound: Boolean): [SubmissionScore]
  diagnosticsUploadAuth{_UPLOAD}
  diagnostics(id: ID, modelId: ID): [Diagnostics]
  computePickleDataVersions(deprecated: Boolean = false): [DataVersion]
  computePickleDockerImages(deprecated: Boolean = false): [DockerImage]
  computePickleUploadAuth(filename: String = "model.pkl", modelId: ID): FileUploadAuth
  computePickles(id: ID, modelId: ID, unassigned: Boolean = false): [ComputePickle]
  triggerLogs(triggerId: ID!): [InvocationLog]
  pipelineStatus(date: String, tournament: String = "classic"): PipelineStatus
}}

type Mutation {{
  createSubmission{_SUBMIT}
  create_submission{_SUBMIT}
  createDiagnostics(filename: String!, tournament: Int!, modelId: ID): Diagnostics
  createComputePickleUpload(filename: String!, tournament: Int!, modelId: ID, dataVersionId: ID, dockerImageId: ID,
    source: String): ComputePickle
  assignPickleToModel(modelId: String, pickleId: ID): String
  triggerComputePickleUpload(modelId: ID, pickleId: ID, triggerValidation: Boolean = false): ComputePickle
}}

type Round {{
  id: ID tournament: Int number: Int target: String closeTime: Time closeStakingTime: Time openTime: Time
  scoreTime: Time resolveTime: Time resolvedGeneral: Boolean resolvedStaking: Boolean payoutFactor: String
  stakeThreshold: Float dataDatestamp: Int isDaily: Boolean roundScoreConfigs: [RoundScoreConfig]
}}

type RoundScoreConfig {{
  id: ID scoreConfigId: ID roundNumberStart: Int roundNumberEnd: Int name: String version: String displayName: String
  totalScoreDays: Int returnsLagDays: Int dataDelayDays: Int universe: String isCanonScore: Boolean isPayout: Boolean
  scoringStart: Time scoringEnd: Time minMultiplier: Float maxMultiplier: Float defaultMultiplier: Float
  clipThreshold: Float stakeThreshold: Float payoutFactor: Float
}}

type Account {{
  id: ID username: String email: String walletAddress: String availableNmr: String mfaEnabled: Boolean status: String
  insertedAt: Time models: [Model] apiTokens: [ApiToken]
}}
type ApiToken {{ name: String publicId: String public_id: String scopes: [String] }}
type AccountProfile {{ id: ID username: String models: [ModelProfile] }}
type ModelProfile {{ id: ID displayName: String username: String tournament: Int }}
type Stake {{ status: String txHash: String stakeValue: String }}
type Model {{
  id: ID name: String username: String tournament: Int insertedAt: Time submissions: [Submission]
  computePickleUpload: ComputePickle v2Stake: Stake
}}

type FileUploadAuth {{ filename: String url: String }}

type Submission {{
  id: ID filename: String status: String errorInfo: String selected: Boolean insertedAt: Time round: Round
  triggerId: String dataDatestamp: Int submittedCount: Int filteredCount: Int invalidTickers: String
}}

type SubmissionScore {{
  roundId: ID submissionId: ID roundNumber: Int roundResolveTime: Time roundScoreTime: Time
  roundCloseStakingTime: Time value: Float percentile: Float displayName: String version: String date: Time day: Int
  resolveDate: Time resolved: Boolean
}}

type DataVersion {{ id: ID name: String deprecated: Boolean }}
type DockerImage {{ id: ID name: String image: String tag: String default: Boolean deprecated: Boolean }}
type ComputePickle {{
  id: ID filename: String label: String modelId: String assignedModelSlots: [String] validationStatus: String
  triggerStatus: String diagnosticsStatus: String diagnosticsId: String dockerImageId: ID dockerImageName: String
  dataVersionId: ID dataVersion: String insertedAt: Time updatedAt: Time triggers: [PickleTrigger]
}}
type PickleTrigger {{
  id: ID type: String status: String insertedAt: Time submissionId: ID statuses: [PickleTriggerStatus]
}}
type PickleTriggerStatus {{ status: String description: String insertedAt: Time }}
type InvocationLog {{ timestamp: Int message: String }}

type Diagnostics {{
  id: String filename: String status: String message: String erasAcceptedCount: Int trainedOnVal: Boolean
  updatedAt: Time insertedAt: Time perEraDiagnostics: [EraDiagnostics] {_floats(_DIAGNOSTICS)}
}}
type EraDiagnostics {{ era: String {_floats(_ERA_SCORES)} }}

type PipelineStatus {{
  dataReadyAt: Time isScoringDay: Boolean resolvedAt: Time scoredAt: Time startedAt: Time tournament: String
}}
"""

SCHEMA: GraphQLSchema = build_schema(SDL)
_RULES = [rule for rule in specified_rules if rule is not VariablesInAllowedPositionRule]


def read(query: str) -> tuple[DocumentNode | None, list[GraphQLError]]:
    """Parse and check a query; a document, or the errors that speak against it."""
    try:
        document = parse(query)
    except GraphQLError as error:
        return None, [error]
    return document, validate(SCHEMA, document, _RULES)


def needs_key(document: DocumentNode) -> bool:
    """Whether any operation of the document is one that Numerai answers to a key holder only."""
    return asks_for(document, *KEY_NEEDED)


def asks_for(document: DocumentNode, *names: str) -> bool:
    """Whether any operation of the document is one of `names`."""
    operations = [part for part in document.definitions if isinstance(part, OperationDefinitionNode)]
    return any(_name(selection) in names for part in operations for selection in part.selection_set.selections)


def _name(selection: Any) -> str:
    return selection.name.value if isinstance(selection, FieldNode) else ""


def answer(
    document: DocumentNode, resolvers: Mapping[str, Any], variables: Mapping[str, Any] | None, context: Any
) -> dict[str, Any]:
    """Run a checked document: `{"data": ...}`, with `"errors": [{"message", ...}]` where something was refused."""
    result = execute_sync(SCHEMA, document, resolvers, context, dict(variables or {}), field_resolver=_resolve)
    if not isinstance(result, ExecutionResult):
        raise TypeError("the sandbox's resolvers are synchronous")
    return dict(result.formatted)


def _resolve(parent: Mapping[str, Any], info: GraphQLResolveInfo, /, **arguments: Any) -> Any:
    """The parent's value of a field, called when it is a function.

    graphql-core's own resolver does the same, but cannot take an argument that is called `source`.
    """
    value = parent.get(info.field_name)
    return value(info, **arguments) if callable(value) else value


def refusal(*errors: GraphQLError) -> dict[str, Any]:
    """The reply that lists errors and holds no data."""
    return {"errors": [dict(error.formatted) for error in errors]}
