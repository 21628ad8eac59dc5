"""The control API does over HTTP what the switchboard does in Python."""

from simulator import Simulator
from tests.integration.simulator.caller import Caller

ALPHA = "sk-openai-0123456789-live"


async def test_a_key_can_be_added_revoked_and_restored(sim: Simulator, call: Caller) -> None:
    added = await call.command("add_key", dialect="openai", secret="sk-new", models=["gpt-4o"])
    assert added.json() == {"label": "openai-2"}
    assert (await call.generate("openai", "sk-new")).status_code == 200
    assert (await call.command("revoke", key="openai-2")).status_code == 200
    assert (await call.generate("openai", "sk-new")).status_code == 401
    await call.command("restore", key="sk-new")
    assert (await call.generate("openai", "sk-new")).status_code == 200


async def test_wallets_limits_faults_and_lists_can_be_switched(
    sim: Simulator, call: Caller
) -> None:
    async def status() -> int:
        return (await call.generate("openai", ALPHA, model="gpt-4o")).status_code

    for name, arguments, expected in (
        ("empty", {"key": "openai-1"}, 429),
        ("refill", {"key": "openai-1"}, 200),
        ("limit_for", {"key": ALPHA, "seconds": 0.7, "model": "gpt-4o"}, 429),
        ("unlimit", {"key": ALPHA, "model": "gpt-4o"}, 200),
        ("limit_count", {"key": ALPHA, "requests": 1, "per_s": 60}, 200),
        ("limit_concurrency", {"key": ALPHA, "most": 0}, 429),
        ("limit_concurrency", {"key": ALPHA, "most": None}, 429),
        ("unlimit", {"key": ALPHA}, 200),
        ("restrict", {"key": ALPHA, "model": "gpt-4o", "unknown": True}, 404),
        ("permit", {"key": ALPHA, "model": "gpt-4o"}, 200),
        ("fault", {"trouble": "html_page", "dialect": "openai"}, 502),
        ("clear_faults", {"trouble": "html_page"}, 200),
        ("fault", {"trouble": "overloaded", "key": "openai-1", "only": "generate"}, 503),
        ("clear_faults", {}, 200),
        ("fail_rate", {"dialect": "openai", "rate": 1.0}, 500),
        ("fail_rate", {"dialect": "openai", "rate": 0.0}, 200),
        ("slow", {"seconds": 0.001, "dialect": "openai"}, 200),
        ("generate_for", {"seconds": 0.001, "pieces": 2}, 200),
        ("hang", {"dialect": "groq"}, 200),
        ("release", {}, 200),
        ("models_are_public", {"dialect": "openai"}, 200),
    ):
        answer = await call.command(name, **arguments)
        assert answer.json() == {}, (name, answer.text)
        assert await status() == expected, name
    assert (await call.list_models("openai", "")).status_code == 200


async def test_the_state_is_told_without_secrets(sim: Simulator, call: Caller) -> None:
    await call.generate("openai", ALPHA)
    sim.empty(ALPHA)
    keys = await call.http.get(sim.control_url + "keys")
    assert keys.json()[0] == {
        "label": "openai-1",
        "dialect": "openai",
        "account": "openai-1",
        "models": [],
        "revoked": False,
        "wallet_empty": True,
        "in_flight": 0,
        "calls": 1,
        "answers": {"200": 1},
    }
    calls = await call.http.get(sim.control_url + "calls")
    assert calls.json()[0]["status"] == 200
    assert "sk-" not in keys.text + calls.text
    await call.command("forget_calls")
    assert (await call.http.get(sim.control_url + "calls")).json() == []


async def test_wrong_commands_say_what_is_wrong_and_repeat_no_secret(
    sim: Simulator, call: Caller
) -> None:
    for name, arguments, status in (
        ("revoke", {"key": "sk-unknown-secret"}, 404),
        ("slow", {"seconds": 1, "dialect": "bedrock"}, 404),
        ("add_key", {"dialect": "openai", "secret": ALPHA}, 409),
        ("add_key", {"dialect": "openai", "secret": ["sk-unknown-secret"]}, 400),
        ("fault", {"trouble": "meteor"}, 400),
        ("revoke", {}, 400),
        ("explode", {}, 404),
        ("ledger", {}, 404),
    ):
        answer = await call.command(name, **arguments)
        assert answer.status_code == status, name
        assert answer.json()["error"]
        assert "sk-unknown-secret" not in answer.text
    cut = await call.http.post(sim.control_url + "revoke", content=b'{"key"')
    assert cut.status_code == 400
    assert (await call.http.get(sim.control_url + "revoke")).status_code == 404
