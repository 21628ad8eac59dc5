"""Keys that wait to be kept are, when they are asked for, what they were."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from broker.core.key import KeyLimits, KeySettings
from broker.core.sealed import SealedSecret
from broker.ports.key_store import StoredKey, StoredRevision
from broker.services.pending_keys import PendingKeys

TIMES = st.floats(0, 2e9)
SETTINGS = st.builds(
    KeySettings,
    models=st.dictionaries(st.text(), st.text(), max_size=3),
    weight=st.floats(0.1, 10),
    priority=st.integers(-5, 5),
    limits=st.builds(KeyLimits, st.integers(0, 9), st.integers(0, 9), st.integers(0, 9)),
    account=st.text(),
    expires_at=st.none() | st.datetimes(timezones=st.just(UTC), min_value=datetime(2000, 1, 1)),  # noqa: DTZ001 - zones are added
    base_url=st.text(),
)
REVISIONS = st.builds(
    StoredRevision,
    st.text(),
    st.builds(SealedSecret, st.text(), st.binary(), st.binary()),
    TIMES,
    st.none() | TIMES,
)
KEYS = st.builds(
    StoredKey,
    key_id=st.text(),
    tenant=st.text(),
    provider=st.text(),
    settings=SETTINGS,
    revisions=st.lists(REVISIONS, min_size=1, max_size=3).map(tuple),
    created_at=TIMES,
    updated_at=TIMES,
    source=st.just(""),
)


@given(st.lists(KEYS, max_size=4))
def test_they_come_back_as_they_were(keys: list[StoredKey]) -> None:
    pending = PendingKeys()
    for key in keys:
        pending.append(key)
    assert list(pending) == keys
    assert len(pending) == len(keys)
    assert pending[1:] == keys[1:]
    assert [pending[index] for index in range(len(keys))] == keys
    pending.clear()
    assert not pending
