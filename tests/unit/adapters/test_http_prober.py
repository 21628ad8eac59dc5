"""What only the prober over HTTP does: odd servers on the other end."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from broker.adapters.http import HttpProber
from broker.catalog import load_catalog
from broker.core.key import Key
from broker.core.provider import Provider
from broker.core.secret import Secret
from broker.core.verdicts.dialect import EACH, Dialect, FreeProbe, KeyTravel
from broker.core.words import ProbeResult
from broker.ports.prober import Probed
from tests.contract.loopback import Loopback, hang, loopback, say, say_raw
from tests.contract.prober_rigs import DIALECT, KEY, SECRET

CATALOG = load_catalog()
LIST = b'{"data": [{"id": "models/a"}, {"id": "b"}, {"id": "b"}, {"id": 3}, {}]}'


@pytest.fixture
async def server() -> AsyncIterator[Loopback]:
    async with loopback() as server:
        yield server


@pytest.fixture
async def prober() -> AsyncIterator[HttpProber]:
    prober = HttpProber(timeout_s=0.3)
    yield prober
    await prober.close()


async def probe(
    prober: HttpProber, server: Loopback, dialect: Dialect = DIALECT, key: Key = KEY
) -> Probed:
    found = await prober.probe(key, Provider("acme", dialect, server.url + "/v1/"))
    assert SECRET not in repr(found)
    return found


async def test_the_key_travels_as_the_dialect_says_and_nothing_else_does(
    prober: HttpProber, server: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    travel = KeyTravel("X-Acme-Key", "", {"acme-version": "2027-01-01"})
    other = HttpProber(timeout_s=5.0)
    await probe(other, server, replace(DIALECT, key_travel=travel))
    await other.close()
    lines = server.requests[0].lower().splitlines()
    assert lines[0] == "get /v1/models http/1.1"
    assert {f"x-acme-key: {SECRET}", "acme-version: 2027-01-01"} < set(lines)
    assert not any(line.startswith(("authorization", "cookie")) for line in lines)


async def test_a_key_s_own_endpoint_is_the_one_that_is_called(
    prober: HttpProber, server: Loopback
) -> None:
    server.script = say(200, LIST)
    key = replace(KEY, base_url=server.url + "/own")
    found = await prober.probe(key, Provider("acme", DIALECT, "http://127.0.0.1:9"))
    assert found.result is ProbeResult.AUTHENTICATED
    assert server.requests[0].startswith("GET /own/models ")


async def test_a_listing_gives_each_model_once_without_its_prefix(
    prober: HttpProber, server: Loopback
) -> None:
    server.script = say(200, LIST)
    free = FreeProbe("/models", authenticates=True, model_names=("data", EACH, "id"))
    found = await probe(
        prober, server, replace(DIALECT, probe=replace(free, model_prefix="models/"))
    )
    assert found.models == ("a", "b")


async def test_a_listing_that_echoes_the_key_named_it_to_every_caller_as_a_model(
    prober: HttpProber, server: Loopback
) -> None:
    secret = KEY.secret.reveal()
    names = (secret, f"ft:{secret}", secret.upper(), "honest")
    server.script = say(200, json.dumps({"data": [{"id": name} for name in names]}).encode())
    free = FreeProbe("/models", authenticates=True, model_names=("data", EACH, "id"))
    found = await probe(prober, server, replace(DIALECT, probe=free))
    assert found.models == ("honest",)


async def test_a_public_list_proves_nothing_but_lists_models(
    prober: HttpProber, server: Loopback
) -> None:
    server.script = say(200, LIST)
    free = FreeProbe("/models", authenticates=False, model_names=("data", EACH, "id"))
    found = await probe(prober, server, replace(DIALECT, probe=free))
    assert (found.result, found.reached) == (ProbeResult.INCONCLUSIVE, True)
    assert found.models == ("models/a", "b")


async def test_a_dialect_without_a_free_call_is_not_called(
    prober: HttpProber, server: Loopback
) -> None:
    found = await probe(prober, server, replace(DIALECT, probe=None))
    assert (found.result, found.reached) == (ProbeResult.INCONCLUSIVE, False)
    assert server.requests == []


async def test_a_rule_of_the_dialect_rejects_whatever_the_status(
    prober: HttpProber, server: Loopback
) -> None:
    server.script = say(
        400,
        b'{"error": {"code": 400, "message": "API key not valid. Please pass a valid API key.",'
        b' "status": "INVALID_ARGUMENT", "details": [{"@type":'
        b' "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID",'
        b' "domain": "googleapis.com"}]}}',
    )
    found = await probe(prober, server, CATALOG["gemini"])
    assert found.result is ProbeResult.REJECTED
    assert found.detail.startswith("400, google:")


async def test_an_answer_that_misses_a_key_rejects_none(
    prober: HttpProber, server: Loopback
) -> None:
    """The key was sent: something on the way took it out."""
    server.script = say(
        401, b'{"error": {"message": "You didn\'t provide an API key. You need to provide it"}}'
    )
    found = await probe(prober, server, CATALOG["openai"])
    assert (found.result, found.reached) == (ProbeResult.INCONCLUSIVE, True)


@pytest.mark.parametrize("status", [403, 404, 418, 429, 500, 503, 529])
async def test_any_other_refusal_proves_nothing(
    prober: HttpProber, server: Loopback, status: int
) -> None:
    server.script = say(status, b'{"error": {"message": "no"}}')
    found = await probe(prober, server)
    assert (found.result, found.reached) == (ProbeResult.INCONCLUSIVE, True)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed_since_the_key_would_go_along(
    prober: HttpProber, server: Loopback, status: int
) -> None:
    async with loopback() as thief:
        thief.script = say(200, LIST)
        server.script = say(status, b"", f"location: {thief.url}/v1/models")
        found = await probe(prober, server)
        assert thief.requests == []
    assert (found.result, found.reached) == (ProbeResult.INCONCLUSIVE, True)


@pytest.mark.parametrize("body", [b"<html>Log in to the guest network</html>", b"", b"OK"])
async def test_a_portal_on_the_way_authenticates_no_key(
    prober: HttpProber, server: Loopback, body: bytes
) -> None:
    server.script = say(200, body, "content-type: text/html")
    found = await probe(prober, server)
    assert (found.result, found.detail) == (ProbeResult.INCONCLUSIVE, "200, but no JSON")


async def test_a_body_that_echoes_the_key_leaves_no_trace(
    prober: HttpProber, server: Loopback, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    echo = f'{{"error": {{"message": "no such key: {SECRET}"}}}}'.encode()
    server.script = say(401, echo, f"x-echo: {SECRET}\nset-cookie: k={SECRET}")
    found = await probe(prober, server)
    assert found.result is ProbeResult.REJECTED
    own = [record for record in caplog.records if not record.name.startswith("httpcore")]
    assert SECRET not in " ".join(record.getMessage() for record in own)


async def test_no_cookie_is_kept_for_the_next_probe(prober: HttpProber, server: Loopback) -> None:
    server.script = say(200, LIST, "set-cookie: session=1; Path=/")
    await probe(prober, server)
    await probe(prober, server)
    assert "cookie" not in server.requests[1].lower()


async def test_a_huge_listing_is_read_in_part_and_still_authenticates(
    prober: HttpProber, server: Loopback
) -> None:
    sent: list[int] = []
    chunk = b'{"id": "' + b"x" * 65_526 + b'"}, '

    async def script(writer: asyncio.StreamWriter) -> None:
        await say_raw(b'HTTP/1.1 200 OK\r\ncontent-length: 10485760\r\n\r\n{"data": [')(writer)
        for _ in range(160):
            writer.write(chunk)
            await writer.drain()
            sent.append(len(chunk))

    server.script = script
    prober = HttpProber(timeout_s=5.0)
    found = await probe(prober, server)
    await prober.close()
    assert (found.result, found.models) == (ProbeResult.AUTHENTICATED, ())
    assert sum(sent) < 10_000_000


async def test_a_body_in_an_encoding_nobody_asked_for_is_not_unpacked(
    prober: HttpProber, server: Loopback
) -> None:
    server.script = say(200, b"\x1f\x8b" + b"x" * 100, "content-encoding: gzip")
    assert (await probe(prober, server)).result is ProbeResult.INCONCLUSIVE
    server.script = say(401, b"\x1f\x8b" + b"x" * 100, "content-encoding: gzip")
    assert (await probe(prober, server)).result is ProbeResult.REJECTED


OK = b"HTTP/1.1 200 OK\r\n"
BROKEN = {
    "silence": (hang(), False),
    "half a head": (hang(OK), False),
    "half a body": (hang(OK + b"content-length: 100\r\n\r\n{"), True),
    "a hang-up": (say_raw(), False),
    "another protocol": (say_raw(b"SSH-2.0-OpenSSH_9.6\r\n"), False),
    "a hang-up in the body": (say_raw(OK + b"content-length: 100\r\n\r\n{"), True),
    "a broken chunk": (say_raw(OK + b"transfer-encoding: chunked\r\n\r\nzz\r\n"), True),
    "no known status": (say_raw(b"HTTP/1.1 999 What\r\ncontent-length: 0\r\n\r\n"), True),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_a_broken_answer_proves_nothing_within_the_deadline(
    prober: HttpProber, server: Loopback, name: str
) -> None:
    server.script, reached = BROKEN[name]
    async with asyncio.timeout(5.0):
        found = await probe(prober, server)
    assert (found.result, found.reached) == (ProbeResult.INCONCLUSIVE, reached)


async def test_a_body_that_drips_does_not_outlive_the_deadline(
    prober: HttpProber, server: Loopback
) -> None:
    """Each byte comes in time; all of them never would."""

    async def drip(writer: asyncio.StreamWriter) -> None:
        await say_raw(b"HTTP/1.1 200 OK\r\ncontent-length: 999999\r\n\r\n{")(writer)
        while not writer.is_closing():
            await asyncio.sleep(0.01)
            await say_raw(b" ")(writer)

    server.script = drip
    async with asyncio.timeout(5.0):
        found = await probe(prober, server)
    assert found == Probed(
        ProbeResult.INCONCLUSIVE, reached=True, detail="200, then no whole answer within 0.3 s"
    )


@pytest.mark.parametrize(
    ("url", "detail"),
    [
        ("http://127.0.0.1:1", "no whole answer: the connection was refused"),
        ("http://acme.invalid", "no whole answer: the host name cannot be resolved"),
        ("http://acme.example:port", "no whole answer: InvalidURL"),
        ("gopher://acme.example", "no whole answer: UnsupportedProtocol"),
    ],
)
async def test_a_provider_that_cannot_be_called_was_not_reached(
    monkeypatch: pytest.MonkeyPatch, url: str, detail: str
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    prober = HttpProber(timeout_s=5.0)
    found = await prober.probe(KEY, Provider("acme", DIALECT, url))
    await prober.close()
    assert found == Probed(ProbeResult.INCONCLUSIVE, reached=False, detail=detail)


async def test_a_server_without_tls_is_told_apart(server: Loopback) -> None:
    server.speaks_first, server.script = True, say(400)
    prober = HttpProber(timeout_s=5.0)
    url = server.url.replace("http:", "https:")
    found = await prober.probe(KEY, Provider("acme", DIALECT, url))
    await prober.close()
    assert found.detail == "no whole answer: TLS failed"


@pytest.mark.parametrize("plaintext", ["sk-canary\n", "sk-canary\0", "ключ", "\udc80"])
async def test_a_secret_that_cannot_travel_in_a_header_is_never_shown(
    prober: HttpProber, server: Loopback, caplog: pytest.LogCaptureFixture, plaintext: str
) -> None:
    """The driver's own message would quote the header."""
    found = await probe(prober, server, key=replace(KEY, secret=Secret(plaintext)))
    assert (found.result, found.reached) == (ProbeResult.INCONCLUSIVE, False)
    for text in (found.detail, caplog.text):
        assert "canary" not in text
        assert "ключ" not in text


async def test_a_probe_can_be_cancelled(prober: HttpProber, server: Loopback) -> None:
    server.script = hang()
    probing = asyncio.ensure_future(probe(prober, server))
    await asyncio.sleep(0)
    probing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await probing
