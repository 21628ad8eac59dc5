"""The closed vocabularies as the protos number them."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, Protocol, TypeVar

from broker.core import words
from broker.core.revisions import Stage
from broker.core.tenancy import PolicyMode
from broker.services.standing import KeyState
from broker.services.watching import DeathCause
from keybroker.v1 import (
    circuit_pb2,
    denial_pb2,
    key_pb2,
    lease_pb2,
    outcome_pb2,
    policy_pb2,
    scope_pb2,
)
from keybroker.v1 import verdict_pb2 as verdict

Word = TypeVar("Word", bound=StrEnum)
Number_co = TypeVar("Number_co", bound=int, covariant=True)


class _Enum(Protocol[Number_co]):
    """A generated enum."""

    def Value(self, name: str) -> Number_co: ...


def _numbers(
    vocabulary: type[Word], enum: _Enum[Number_co], prefix: str
) -> Mapping[Word, Number_co]:
    """The number of each word; a word that the proto does not have fails at import."""
    return {word: enum.Value(f"{prefix}_{word.name}") for word in vocabulary}


KINDS: Final = _numbers(words.Kind, verdict.VerdictKind, "VERDICT_KIND")
EVIDENCES: Final = _numbers(words.Evidence, verdict.Evidence, "EVIDENCE")
QUOTA_WINDOWS: Final = _numbers(words.QuotaWindow, verdict.QuotaWindow, "QUOTA_WINDOW")
ADVICE_ACTIONS: Final = _numbers(words.AdviceAction, verdict.AdviceAction, "ADVICE_ACTION")
SCOPE_KINDS: Final = _numbers(words.ScopeKind, scope_pb2.ScopeKind, "SCOPE_KIND")
FAMILIES: Final = _numbers(words.Family, circuit_pb2.Family, "FAMILY")
CIRCUIT_STATES: Final = _numbers(words.State, circuit_pb2.CircuitState, "CIRCUIT_STATE")
PROVENANCES: Final = _numbers(words.Provenance, key_pb2.Provenance, "PROVENANCE")
KEY_STATES: Final = _numbers(KeyState, key_pb2.KeyState, "KEY_STATE")
REVISION_STAGES: Final = _numbers(Stage, key_pb2.RevisionStage, "REVISION_STAGE")
POLICY_MODES: Final = _numbers(PolicyMode, policy_pb2.PolicyMode, "POLICY_MODE")
PROBE_RESULTS: Final = _numbers(words.ProbeResult, key_pb2.ProbeResult, "PROBE_RESULT")
LEASE_STATES: Final = _numbers(words.LeaseState, lease_pb2.LeaseState, "LEASE_STATE")
DENIAL_REASONS: Final = _numbers(words.DenialReason, denial_pb2.DenialReason, "DENIAL_REASON")
DENIAL_ACTIONS: Final = _numbers(words.DenialAction, denial_pb2.DenialAction, "DENIAL_ACTION")
DEATH_CAUSES: Final = _numbers(DeathCause, lease_pb2.DeathCause, "DEATH_CAUSE")
PHASES: Final = _numbers(words.Phase, outcome_pb2.Phase, "PHASE")
TRANSPORT_ERRORS: Final = _numbers(
    words.TransportError, outcome_pb2.TransportError, "TRANSPORT_ERROR"
)
