"""What a broker may answer to a report, and provider calls that end as told."""

from collections.abc import Callable
from typing import Any

from keybroker import (
    Outcome,
)
from tests.client.conftest import status
from tests.client.fake_broker import (
    Script,
    a_lease,
    an_answer,
    answering,
)


def other_key(
    kind: str, advice: str = "RETRY_OTHER_KEY", *, delay_s: float = 0.0, **fields: Any
) -> Script:
    """Judge an outcome so, and hand out the next lease."""
    lease = a_lease(**{"key_id": "openai/2", "attempt": 1, **fields})
    lease.attempt = 2
    return answering(an_answer(kind, advice, delay_s=delay_s, lease=lease))


def statuses(*codes: int) -> Callable[[Any], Outcome]:
    """Provider calls that end with these statuses, in turn."""
    left = list(codes)

    def run(lease: Any) -> Outcome:
        return status(left.pop(0))(lease)

    return run
