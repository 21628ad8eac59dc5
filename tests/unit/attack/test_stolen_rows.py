"""Whoever can write rows of the database, and has no sealing key, gets no secret by that."""

from dataclasses import replace

import pytest

from broker.core.key import KeySettings
from broker.core.secret import Secret
from broker.core.words import DenialReason
from tests.unit.services.status_given import Desk, a_desk

OWN = KeySettings(base_url="https://own.test")
EVIL = "https://evil.test"


async def rewrite(desk: Desk, key_id: str, settings: KeySettings) -> None:
    """Write a key's row past the broker, and have it read anew."""
    await desk.store.inner.update(key_id, settings, desk.clock.now())
    await desk.core.tenants.reload("acme")


@pytest.mark.parametrize("settings", [KeySettings(), OWN])
async def test_a_changed_base_url_had_the_tenant_s_secret_sent_to_whoever_changed_it(
    settings: KeySettings,
) -> None:
    desk = await a_desk()
    await desk.keep("t1", settings=settings)
    assert await desk.leased_for() == "t1"
    await rewrite(desk, "t1", replace(settings, base_url=EVIL))
    assert await desk.leased_for() == DenialReason.TENANT_KEY_UNUSABLE
    await rewrite(desk, "t1", settings)
    assert await desk.leased_for() == "t1"


async def test_an_operator_moves_a_key_with_all_its_secrets_to_another_endpoint() -> None:
    desk = await a_desk()
    await desk.keep("t1", secret="sk-old", settings=OWN)
    await desk.keeping.rotate("ops", "t1", Secret("sk-new"))
    there = KeySettings(base_url="https://there.test")
    kept = await desk.keeping.update("ops", "t1", lambda _old: there, "base_url")
    assert await desk.store.key("t1") == kept
    assert await desk.leased_for() == "t1"
    held = desk.core.keyring.held("t1")
    assert held is not None
    secrets = [revision.key.secret.reveal() for revision in held.revisions]
    assert secrets == ["sk-new", "sk-old"]
    assert {revision.key.base_url for revision in held.revisions} == {"https://there.test"}


async def test_a_key_whose_row_was_changed_can_be_mended_by_setting_it_right() -> None:
    desk = await a_desk()
    await desk.keep("t1")
    await rewrite(desk, "t1", KeySettings(base_url=EVIL))
    await desk.keeping.update("ops", "t1", lambda _old: KeySettings(), "base_url")
    assert await desk.leased_for() == "t1"
