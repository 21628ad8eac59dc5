"""A secret shows itself to `reveal` and to nobody else."""

import json
import pickle
import traceback
from typing import Never

import pytest

from keybroker import BrokerError, Secret
from keybroker.ask import Ask
from keybroker.grant import Grant
from keybroker.handle import Handle
from keybroker.leasing import Terms
from keybroker.record import CallRecord
from keybroker.v1 import lease_pb2
from tests.client.fake_broker import CANARY, a_lease


def test_no_rendering_shows_it() -> None:
    secret = Secret(CANARY)
    shown = [repr(secret), str(secret), f"{secret}", f"{secret!r:>40}", f"{[secret]}"]
    assert not [text for text in shown if CANARY in text]
    assert secret.reveal() == CANARY


def test_it_is_never_serialised() -> None:
    with pytest.raises(TypeError, match="never serialised"):
        pickle.dumps(Secret(CANARY))
    with pytest.raises(TypeError):
        json.dumps(Secret(CANARY))


def test_it_is_compared_as_what_it_is() -> None:
    assert Secret(CANARY) == Secret(CANARY)
    assert Secret(CANARY) != Secret("other")
    assert Secret(CANARY) != CANARY
    assert len({Secret(CANARY), Secret(CANARY)}) == 1
    assert not Secret("")


def test_a_grant_takes_the_secret_out_of_the_message() -> None:
    """The protobuf runtime prints what it holds; tracebacks with locals print messages."""
    message = a_lease()
    assert CANARY in repr(message)
    grant = Grant.take(message)
    assert CANARY not in repr(message) + repr(grant)
    assert grant.lease_id not in repr(grant)
    assert grant.secret.reveal() == CANARY


def fail_with(lease: Handle) -> Never:
    """Fail while a lease is at hand."""
    raise ValueError(lease)


def test_a_traceback_with_locals_does_not_show_it() -> None:
    grant = Grant.take(a_lease())
    lease = Handle(CallRecord(grant, Ask.of("openai", "gpt-4o"), Terms(1.0)))
    with pytest.raises(ValueError, match="Handle") as told:
        fail_with(lease)
    shown = traceback.TracebackException.from_exception(told.value, capture_locals=True)
    assert CANARY not in "".join(shown.format())


def test_a_lease_that_authenticates_in_a_newer_way_is_refused() -> None:
    message = a_lease()
    message.ClearField("api_key")
    with pytest.raises(BrokerError, match="update it"):
        Grant.take(lease_pb2.Lease.FromString(message.SerializeToString()))
