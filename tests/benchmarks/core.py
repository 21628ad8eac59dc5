"""The core's figures: decisions by pool size, classifier, fold, memory per troubled scope."""

import gc
import tracemalloc
from collections.abc import Iterator
from functools import partial
from random import Random
from statistics import median

from broker.catalog.loader import load_catalog
from broker.core.admission import admit
from broker.core.facts import CallFailed
from broker.core.fold import fold
from broker.core.health import Health
from broker.core.key import Key
from broker.core.load import KeyLoad
from broker.core.outcome import Outcome
from broker.core.pool import Candidate, Pool
from broker.core.scope import Upstream, key_scope
from broker.core.secret import Secret
from broker.core.selection import choose
from broker.core.verdicts.classifier import classify
from broker.core.words import Evidence, Family, Kind, Provenance
from tests.benchmarks.measure import Figure, microseconds
from tests.hostile import HOSTILE_BODIES

NOW = 1_750_000_000.0
POOL_SIZES = (3, 100, 10_000)
TROUBLED_SCOPES = 10_000

BODY = (
    b'{"error": {"message": "Incorrect API key provided: sk-****. You can find your API key at '
    b'https://platform.openai.com/account/api-keys.", "type": "invalid_request_error", '
    b'"param": null, "code": "invalid_api_key"}}'
)

UNKNOWN = (
    b'{"error": {"message": "Requests per minute limit of the model was reached. Please try again '
    b'in 12s.", "type": "unheard_of", "param": null, "code": "never_seen"}}'
)
"""No rule of any dialect matches, so that all of them are tried."""


def core_figures() -> Iterator[Figure]:
    """All figures that need no server."""
    for size in POOL_SIZES:
        yield Figure(f"decisions_{size}_keys", 1e6 / _decision_us(size), "1/s")
    yield Figure("classify_error", _classify_us(Outcome(http_status=401, body=BODY)), "us")
    yield from _by_dialect(Outcome(429, body=UNKNOWN))
    hostile = max(_classify_us(Outcome(429, body=body)) for body in HOSTILE_BODIES.values())
    yield Figure("classify_hostile_16_kib", hostile, "us")
    yield Figure("load_catalog", microseconds(load_catalog) / 1_000.0, "ms")
    yield Figure("classify_success", _classify_us(Outcome(http_status=200)), "us")
    yield Figure("fold_fact", _fold_us(), "us")
    yield Figure("bytes_per_troubled_scope", _bytes_per_scope(), "B")


def _key(number: int) -> Key:
    return Key(
        key_id=f"openai/{number}",
        revision=f"{number:016x}",
        provider="openai",
        secret=Secret(f"secret-{number}"),
        provenance=Provenance.SYSTEM,
    )


def _decision_us(size: int) -> float:
    """One decision: wake, draw two, judge every circuit; a tenth of the keys is in trouble."""
    upstream = Upstream("openai", "", "gpt-4o")
    pool = Pool(Candidate(_key(n), upstream, "gpt-4o", KeyLoad()) for n in range(size))
    health = Health()
    for number in range(size // 10):
        fold(health, _failure(number), NOW, 0.0)
    random = Random(7)

    def decide() -> None:
        pick = choose(pool, lambda candidate: admit((health,), candidate.scopes, NOW), NOW, random)
        assert pick is not None
        pick.candidate.load.note_grant(NOW)

    return microseconds(decide)


def _classify_us(outcome: Outcome) -> float:
    dialect = load_catalog()["openai"]
    return microseconds(lambda: classify(dialect, outcome))


def _by_dialect(outcome: Outcome) -> Iterator[Figure]:
    """How long an error without a rule takes, in the middle and in the slowest dialect."""
    catalog = load_catalog()
    times = {
        name: microseconds(partial(classify, dialect, outcome), rounds=5)
        for name, dialect in catalog.items()
    }
    yield Figure("classify_error_median_dialect", median(times.values()), "us")
    # Once more, as the highest of many figures is the one that was disturbed most.
    slowest = sorted(times, key=lambda name: times[name])[-3:]
    again = max(microseconds(partial(classify, catalog[name], outcome)) for name in slowest)
    yield Figure("classify_error_slowest_dialect", again, "us")


def _fold_us() -> float:
    health = Health()
    facts = iter(range(10_000_000))
    return microseconds(lambda: fold(health, _failure(next(facts) % 1000, next(facts)), NOW, 0.0))


def _failure(number: int, fact: int = 0) -> CallFailed:
    return CallFailed(
        fact_id=f"{number}-{fact}",
        provider="openai",
        replica="bench",
        scope=key_scope("openai", f"openai/{number}", f"{number:016x}"),
        family=Family.CREDENTIAL,
        kind=Kind.INVALID_CREDENTIAL,
        evidence=Evidence.CERTAIN,
        rule="openai.toml:invalid-api-key",
        reported_by="gateway",
        model="gpt-4o",
    )


def _bytes_per_scope() -> float:
    """What a state holds per troubled scope, the fact's own memory for repeats included."""
    gc.collect()
    tracemalloc.start()
    health = Health()
    for number in range(TROUBLED_SCOPES):
        fold(health, _failure(number), NOW, 0.0)
    gc.collect()
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return held / TROUBLED_SCOPES
