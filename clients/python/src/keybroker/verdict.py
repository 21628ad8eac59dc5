"""What the broker makes of a report."""

from dataclasses import dataclass
from datetime import timedelta

from keybroker.v1 import lease_pb2, verdict_pb2
from keybroker.words import AdviceAction, LeaseState, VerdictKind, read_word


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the broker concludes from an outcome.

    `rule` is what matched: quote it when you think that a verdict is wrong. `retry_hint` is the
    provider's own word. `missing_auth`: the provider saw no key at all, which is the caller's bug.
    """

    kind: VerdictKind
    rule: str = ""
    retry_hint: timedelta | None = None
    missing_auth: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """The answer to a report: the verdict, what to do with the request, and with the lease."""

    verdict: Verdict
    advice: AdviceAction
    delay: timedelta
    lease_state: LeaseState

    @property
    def ok(self) -> bool:
        """Did the provider do what it was asked?"""
        return self.verdict.kind is VerdictKind.OK

    @staticmethod
    def read(message: lease_pb2.ReportOutcomeResponse) -> "Report":
        """The report's answer in a message."""
        found, advice = message.verdict, message.advice
        hint = found.retry_hint.ToTimedelta() if found.HasField("retry_hint") else None
        kind = read_word(VerdictKind, verdict_pb2.VerdictKind, found.kind)
        state = lease_pb2.LeaseState
        return Report(
            verdict=Verdict(kind, found.rule, hint, found.missing_auth),
            advice=read_word(AdviceAction, verdict_pb2.AdviceAction, advice.action),
            delay=advice.delay.ToTimedelta(),
            lease_state=read_word(LeaseState, state, message.lease_state),
        )
