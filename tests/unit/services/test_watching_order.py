"""News come in order, nothing is missed, and what is over is told."""

from broker.ports.mark_store import Mark, MarkKind
from broker.services.health import MAX_STRANGERS
from broker.services.watching import MAX_BACKLOG, Death, DeathCause, Recovery, Synced
from tests.unit.services.answers import (
    BAD_KEY,
    EXHAUSTED,
    FORBIDDEN,
    GPT,
    LIMITED,
    MINI,
    NO_MODEL,
    OK,
    STRANGE,
    said,
)
from tests.unit.services.watching_given import (
    KEY,
    Watcher,
    death,
    recovery,
    timeless,
    watching,
)

# --- Order ------------------------------------------------------------------------------------


async def test_the_deaths_that_stand_come_first_and_then_what_happens() -> None:
    house, _ = await watching(KEY)
    await house.call(LIMITED)
    await house.core.marks.put(MarkKind.UPSTREAM_DISABLED, "openai/gpt-mini", "ops")
    watcher = Watcher(house)
    synced, *standing = timeless(await watcher.heard())
    assert isinstance(synced, Synced)
    assert standing == [
        death(DeathCause.COOLING_DOWN, "gpt-4o"),
        Death(DeathCause.UPSTREAM_DISABLED, "openai", model="gpt-mini"),
    ]
    house.clock.advance(6)
    await house.tick()
    await house.call(BAD_KEY)
    assert timeless(await watcher.heard()) == [
        recovery(DeathCause.COOLING_DOWN, "gpt-4o"),
        death(DeathCause.QUARANTINED),
    ]


async def test_nothing_is_missed_between_the_beginning_and_the_news() -> None:
    house, _ = await watching(KEY)
    stream = house.core.watching.watch("gateway")
    assert isinstance(await anext(stream), Synced)
    await house.call(LIMITED)
    await house.call(BAD_KEY, MINI)
    causes = set()
    for _ in range(2):
        news = await anext(stream)
        assert isinstance(news, Death)
        causes.add(news.cause)
    assert causes == {DeathCause.COOLING_DOWN, DeathCause.QUARANTINED}


async def test_a_slow_reader_begins_anew_with_what_stands() -> None:
    house, watcher = await watching(KEY)
    for _ in range(MAX_BACKLOG + 1):
        house.core.watching.on_removed("openai", "k", "old")
    await house.call(BAD_KEY)
    synced, *standing = await watcher.heard()
    assert isinstance(synced, Synced)
    assert standing == [death(DeathCause.QUARANTINED)]
    house.core.watching.on_removed("openai", "k", "old")
    assert await watcher.heard() == [Death(DeathCause.REMOVED, "openai", "k", "old")]


async def test_a_reader_that_leaves_is_forgotten() -> None:
    house, _ = await watching(KEY)
    stream = house.core.watching.watch("gateway")
    await anext(stream)
    await stream.aclose()
    for _ in range(2 * MAX_BACKLOG):
        house.core.watching.on_removed("openai", "k", "old")


# --- Recoveries -------------------------------------------------------------------------------


async def test_a_rate_limit_is_over_when_its_time_is() -> None:
    house, watcher = await watching(KEY)
    await house.call(said("limit", 429, retry_after="30"))
    await watcher.heard()
    await house.tick(29)
    assert await watcher.heard() == []
    await house.tick(5)
    assert await watcher.heard() == [recovery(DeathCause.COOLING_DOWN, "gpt-4o")]
    await house.tick(60)
    assert await watcher.heard() == []


async def test_a_rate_limit_that_got_longer_is_over_later() -> None:
    house, watcher = await watching(KEY)
    first, second = await house.lease(), await house.lease()
    await house.report(first, said("limit", 429, retry_after="10"))
    await house.report(second, said("limit", 429, retry_after="60"))
    assert len(await watcher.heard()) == 2
    await house.tick(20)
    assert await watcher.heard() == []
    await house.tick(50)
    assert await watcher.heard() == [recovery(DeathCause.COOLING_DOWN, "gpt-4o")]


async def test_a_trial_that_passed_is_a_recovery_and_half_open_is_none() -> None:
    house, watcher = await watching(KEY)
    await house.call(EXHAUSTED)
    await watcher.heard()
    await house.tick(1000)
    assert await watcher.heard() == []
    await house.call(OK)
    assert await watcher.heard() == [recovery(DeathCause.EXHAUSTED)]


async def test_a_key_that_a_probe_healed_is_back_and_its_model_is_not() -> None:
    house, watcher = await watching(KEY)
    await house.call(BAD_KEY)
    await house.probe()
    assert timeless(await watcher.heard()) == [
        death(DeathCause.QUARANTINED),
        recovery(DeathCause.QUARANTINED),
        death(DeathCause.RESTRICTED, "gpt-4o"),
    ]


async def test_a_death_that_is_forgotten_after_a_day_is_over() -> None:
    house, watcher = await watching(KEY)
    await house.call(FORBIDDEN)
    await watcher.heard()
    house.clock.advance(86_400 + 700)
    for target in (GPT, MINI):
        await house.lease(target)
    await house.tick(301)
    assert await watcher.heard() == [recovery(DeathCause.RESTRICTED, "gpt-4o")]


async def test_a_strange_death_that_is_forgotten_is_over() -> None:
    house, watcher = await watching(KEY)
    for number in range(MAX_STRANGERS + 1):
        await house.call(NO_MODEL, STRANGE._replace(model=f"m{number}"))
        (news,) = await watcher.heard() if number < MAX_STRANGERS else [None]
        assert number == MAX_STRANGERS or isinstance(news, Death)
    assert recovery(DeathCause.RESTRICTED, "m0") in await watcher.heard()


# --- Marks ------------------------------------------------------------------------------------


async def test_marks_that_are_set_and_lifted_are_told() -> None:
    house, watcher = await watching(KEY)
    news = house.core.watching
    mark = Mark(MarkKind.KEY_DISABLED, "k", 1.0, "ops")
    news.on_mark(mark)
    news.on_mark_lifted(mark)
    assert await watcher.heard() == [
        Death(DeathCause.DISABLED, "openai", "k"),
        Recovery(DeathCause.DISABLED, "openai", "k"),
    ]
    whole = Mark(MarkKind.UPSTREAM_DISABLED, "openai/", 1.0, "ops")
    news.on_mark(whole)
    news.on_mark_lifted(whole)
    assert await watcher.heard() == [
        Death(DeathCause.UPSTREAM_DISABLED, "openai"),
        Recovery(DeathCause.UPSTREAM_DISABLED, "openai"),
    ]


async def test_a_revocation_is_told_to_whom_it_concerns_and_has_no_end() -> None:
    house, watcher = await watching(KEY)
    news = house.core.watching
    for kind, subject in (
        (MarkKind.PRINCIPAL_REVOKED, "other"),
        (MarkKind.PRINCIPAL_REVOKED, "gateway"),
        (MarkKind.KEY_REVOKED, "k"),
    ):
        mark = Mark(kind, subject, 7.0, "ops")
        news.on_mark(mark)
        news.on_mark_lifted(mark)
    assert await watcher.heard() == [
        Death(DeathCause.REVOKED, granted_before=7.0),
        Death(DeathCause.REVOKED, "openai", "k", granted_before=7.0),
    ]
