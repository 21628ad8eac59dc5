"""What a provider thinks of a key decides what it answers."""

import pytest

from simulator import DIALECTS, Simulator
from simulator.keys import DuplicateKeyError, UnknownKeyError
from simulator.switchboard import UnknownDialectError
from tests.integration.simulator.caller import Caller

ALPHA = "sk-openai-0123456789-live"


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_revoked_key_is_rejected_until_it_is_restored(
    sim: Simulator, call: Caller, dialect: str
) -> None:
    secret = f"sk-{dialect}-0123456789-live"
    sim.revoke(secret)
    assert (await call.generate(dialect, secret)).status_code in (400, 401)
    assert (await call.list_models(dialect, secret)).status_code in (400, 401)
    sim.restore(secret)
    assert (await call.generate(dialect, secret)).status_code == 200
    assert (await call.list_models(dialect, secret)).status_code == 200


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_an_empty_wallet_generates_nothing_but_lists_models(
    sim: Simulator, call: Caller, dialect: str
) -> None:
    secret = f"sk-{dialect}-0123456789-live"
    sim.empty(secret)
    assert (await call.generate(dialect, secret)).status_code in (400, 402, 429)
    assert (await call.list_models(dialect, secret)).status_code == 200
    sim.refill(secret)
    assert (await call.generate(dialect, secret)).status_code == 200


async def test_keys_of_one_account_share_one_wallet(sim: Simulator, call: Caller) -> None:
    sim.add_key("openai", "sk-one", account="acme")
    sim.add_key("openai", "sk-two", account="acme")
    sim.empty("sk-one")
    assert (await call.generate("openai", "sk-two")).status_code == 429
    assert (await call.generate("openai", ALPHA)).status_code == 200, "another account"


async def test_another_providers_key_is_unknown(sim: Simulator, call: Caller) -> None:
    answer = await call.generate("deepseek", ALPHA)
    assert answer.status_code == 401
    assert sim.key(ALPHA).calls == 0


async def test_a_restricted_model_leaves_the_others_alone(sim: Simulator, call: Caller) -> None:
    sim.restrict(ALPHA, "gpt-4o")
    assert (await call.generate("openai", ALPHA, model="gpt-4o")).status_code == 403
    assert (await call.generate("openai", ALPHA, model="gpt-4o-mini")).status_code == 200
    listed = (await call.list_models("openai", ALPHA)).json()["data"]
    assert "gpt-4o" not in {row["id"] for row in listed}
    sim.restrict(ALPHA, "gpt-4o-mini", unknown=True)
    assert (await call.generate("openai", ALPHA, model="gpt-4o-mini")).status_code == 404
    sim.permit(ALPHA, "gpt-4o")
    assert (await call.generate("openai", ALPHA, model="gpt-4o")).status_code == 200


async def test_a_key_with_models_of_its_own_knows_no_others(sim: Simulator, call: Caller) -> None:
    sim.add_key("openai", "sk-narrow", models=("gpt-4.1",))
    assert (await call.generate("openai", "sk-narrow", model="gpt-4.1")).status_code == 200
    assert (await call.generate("openai", "sk-narrow", model="gpt-4o")).status_code == 404


async def test_a_public_list_authenticates_nobody(sim: Simulator, call: Caller) -> None:
    sim.models_are_public("openai")
    sim.revoke(ALPHA)
    assert (await call.list_models("openai", ALPHA)).status_code == 200
    assert (await call.list_models("openai", "")).status_code == 200
    assert (await call.generate("openai", ALPHA)).status_code == 401
    sim.models_are_public("openai", public=False)
    assert (await call.list_models("openai", ALPHA)).status_code == 401


async def test_calls_are_recorded_by_label_and_never_by_secret(
    sim: Simulator, call: Caller
) -> None:
    await call.generate("openai", ALPHA, model="gpt-4o")
    await call.generate("openai", "sk-never-issued-anywhere")
    await call.list_models("openai", "")
    known, stranger, nobody = sim.calls
    assert (known.dialect, known.key, known.model, known.status) == (
        "openai",
        "openai-1",
        "gpt-4o",
        200,
    )
    assert known.path == "/openai/v1/chat/completions"
    assert nobody.key == "none"
    assert sim.calls_of(ALPHA) == sim.calls_of("openai-1") == [known]
    assert sim.calls_of("sk-never-issued-anywhere") == [stranger]
    assert "sk-" not in repr(sim.calls)
    assert "sk-" not in repr(sim.key(ALPHA))
    assert sim.key(ALPHA).answers == {200: 1}
    sim.forget_calls()
    assert sim.calls == []


async def test_an_unknown_path_is_not_found(sim: Simulator, call: Caller) -> None:
    for path in ("/openai/v1/files", "/nobody/v1/models", "/"):
        assert (await call.http.get(sim.origin + path)).status_code == 404


async def test_commands_on_what_does_not_exist_are_refused_without_repeating_a_secret(
    sim: Simulator,
) -> None:
    with pytest.raises(UnknownKeyError) as unknown:
        sim.revoke("sk-mistyped")
    assert "sk-mistyped" not in str(unknown.value)
    with pytest.raises(DuplicateKeyError) as duplicate:
        sim.add_key("openai", ALPHA)
    assert ALPHA not in str(duplicate.value)
    with pytest.raises(UnknownDialectError):
        sim.add_key("bedrock", "sk-new")
    with pytest.raises(UnknownDialectError):
        sim.slow(1, dialect="bedrock")
