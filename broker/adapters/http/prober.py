"""Probes over HTTP: one client a process, one deadline a probe."""

import asyncio
import contextlib
import logging
from dataclasses import replace
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Final

import httpx

from broker.adapters.http.reading import is_json_like, listed_models, read_up_to, why_no_answer
from broker.core.key import Key
from broker.core.outcome import MAX_BODY_BYTES, Outcome
from broker.core.provider import Provider
from broker.core.verdicts.classifier import classify
from broker.core.verdicts.dialect import FreeProbe
from broker.core.words import Kind, ProbeResult
from broker.ports.prober import Probed

MAX_LISTING_BYTES: Final = 1024 * 1024
"""How much of a model list is read; the longest known ones have a tenth of that."""

DEFAULT_TIMEOUT_S: Final = 10.0

_LOOPBACK: Final = ("all://127.0.0.1", "all://localhost", "all://[::1]")
_NO_AUTH: Final = httpx.Auth()

log = logging.getLogger(__name__)


class HttpProber:
    """Makes the free call of a provider's dialect with a key.

    The environment's proxies and certificates are used, since providers may be reachable in no
    other way, but never for loopback. Nothing is kept from one call for the next: no cookie, and
    no credentials from the environment or a URL join the key.
    """

    def __init__(self, timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
        self._timeout_s = timeout_s
        self._client = httpx.AsyncClient(
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
            follow_redirects=False,
            headers={
                "accept": "application/json",
                "accept-encoding": "identity",
                "user-agent": "keybroker",
            },
            mounts=dict.fromkeys(_LOOPBACK),
            timeout=timeout_s,
        )

    async def probe(self, key: Key, provider: Provider) -> Probed:
        """Call the provider once; its answer is judged as any gateway's outcome is."""
        free = provider.dialect.probe
        if free is None:
            return _inconclusive("the dialect has no free call", reached=False)
        if self._client.is_closed:
            return _inconclusive("the prober is closed", reached=False)
        call = _Call()
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._call(call, free, key, provider)
        except TimeoutError:
            return call.broken(f"no whole answer within {self._timeout_s:g} s")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return call.broken(f"no whole answer: {why_no_answer(error)}")
        except Exception as error:  # noqa: BLE001 - a probe never raises, whatever the driver does
            # Without its text and traceback, which may quote the header that the secret is in.
            log.error("a probe failed unexpectedly: %s", type(error).__name__)  # noqa: TRY400
            return call.broken(f"no whole answer: {type(error).__name__}")

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def _call(self, call: "_Call", free: FreeProbe, key: Key, provider: Provider) -> Probed:
        travel = provider.dialect.key_travel
        headers = dict(travel.extra_headers)
        headers[travel.header_name] = f"{travel.header_prefix}{key.secret.reveal()}"
        request = self._client.build_request(
            free.method,
            (key.base_url or provider.base_url).rstrip("/") + free.path,
            headers=headers,
        )
        response = await self._client.send(request, auth=_NO_AUTH, stream=True)
        async with contextlib.aclosing(response):
            call.status = response.status_code
            is_listing = response.is_success and bool(free.model_names)
            limit = MAX_LISTING_BYTES if is_listing else MAX_BODY_BYTES
            body, is_cut = await read_up_to(response, limit)
        probed = _judged(provider, free, response, body, is_cut=is_cut)
        # Listed names are shown to every caller: a provider that echoes the key must not be heard.
        secret = key.secret.reveal().casefold()
        models = tuple(name for name in probed.models if secret not in name.casefold())
        return replace(probed, models=models)


class _Call:
    """How far a call came, for when it breaks off."""

    def __init__(self) -> None:
        self.status: int | None = None

    def broken(self, why: str) -> Probed:
        if self.status is None:
            return _inconclusive(why, reached=False)
        return _inconclusive(f"{self.status}, then {why}", reached=True)


def _judged(
    provider: Provider, free: FreeProbe, response: httpx.Response, body: bytes, *, is_cut: bool
) -> Probed:
    status = response.status_code
    outcome = Outcome(
        http_status=status,
        headers=dict(response.headers),
        body=body[:MAX_BODY_BYTES],
        truncated=is_cut or len(body) > MAX_BODY_BYTES,
    )
    verdict = classify(provider.dialect, outcome)
    detail = f"{status}, {verdict.rule}"
    if response.is_redirect:
        return _inconclusive(f"{status}, a redirect that was not followed", reached=True)
    if verdict.kind is Kind.INVALID_CREDENTIAL and not verdict.missing_auth:
        return Probed(ProbeResult.REJECTED, reached=True, detail=detail)
    if verdict.kind is not Kind.OK:
        return _inconclusive(detail, reached=True)
    if not is_json_like(body):
        return _inconclusive(f"{status}, but no JSON", reached=True)
    models = () if is_cut else listed_models(free, body)
    if not free.authenticates:
        return _inconclusive(f"{status}, which proves no key here", reached=True, models=models)
    return Probed(ProbeResult.AUTHENTICATED, reached=True, detail=detail, models=models)


def _inconclusive(detail: str, *, reached: bool, models: tuple[str, ...] = ()) -> Probed:
    return Probed(ProbeResult.INCONCLUSIVE, reached=reached, detail=detail, models=models)
