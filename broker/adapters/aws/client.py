"""boto3's clients, and the threads in which they call.

Region, credentials, endpoint and proxies are boto3's own: what its environment variables and files
say, and the role of the machine.
"""

import asyncio
import logging
import os
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from broker.adapters.aws.errors import AwsCallError, Trouble, as_call_error

T = TypeVar("T")

THREADS: Final = 8
"""Calls that are under way at a time."""

CLOSE_S: Final = 1.0
"""How long closing waits for calls under way; what hangs is left to end with the process."""

_TELL_BODIES: Final = ("boto3", "botocore")
"""Loggers that tell at DEBUG what AWS answered, secrets included."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long one call may take: `attempts` in all, each with these timeouts."""

    connect_s: float = 2.0
    read_s: float = 5.0
    attempts: int = 2


class AwsClients:
    """Makes a client when it is first needed, which takes a tenth of a second, and keeps it.

    `given` goes to each client as it is: `endpoint_url`, `aws_access_key_id` and so on.
    """

    def __init__(self, patience: Patience | None = None, **given: str) -> None:
        self._patience = patience or Patience()
        self._given = given
        self._clients: dict[tuple[str, str], Any] = {}
        self._making = threading.Lock()
        self._places = asyncio.Semaphore(THREADS)
        self._under_way: set[asyncio.Future[Any]] = set()
        self._is_closed = False

    async def call(
        self, service: str, operation: str, parameters: Mapping[str, Any], region: str = ""
    ) -> dict[str, Any]:
        """What AWS answers to `operation` (as boto3 names it); nothing in it has been checked.

        Raises AwsCallError. A call whose caller leaves runs on to its end, and is lost.
        """

        def work() -> dict[str, Any]:
            client = self._client(service, region)
            return dict(getattr(client, operation)(**parameters))

        try:
            return await self.run(work)
        except AwsCallError:
            raise
        except Exception as error:  # noqa: BLE001 - hostile answers break boto3's parsers anyhow
            failure = as_call_error(error)
        raise failure

    async def run(self, work: Callable[[], T]) -> T:
        """Do work in a thread, when one is free; it ends with the process where it hangs."""
        if self._is_closed:
            raise AwsCallError("the broker is stopping", Trouble.AWAY)
        await self._places.acquire()
        loop, done = asyncio.get_running_loop(), Future[T]()
        done.set_running_or_notify_cancel()
        result = asyncio.wrap_future(done)
        self._under_way.add(result)
        result.add_done_callback(self._under_way.discard)

        def run() -> None:
            with suppress(RuntimeError):  # the loop was closed meanwhile: nobody waits any more
                try:
                    done.set_result(work())
                except BaseException as error:  # noqa: BLE001 - whoever waits gets it
                    done.set_exception(error)
                loop.call_soon_threadsafe(self._places.release)

        threading.Thread(target=run, name="aws", daemon=True).start()
        return await result

    async def close(self) -> None:
        """Take no calls any more, and release connections."""
        self._is_closed = True
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=CLOSE_S)
        for client in self._clients.values():
            client.close()

    def _client(self, service: str, region: str) -> Any:  # noqa: ANN401 - boto3 makes its classes
        """The client of a service, in a region or in the one that is set."""
        with self._making:
            client = self._clients.get((service, region))
            if client is None:
                client = self._clients[service, region] = self._make(service, region)
            return client

    def _make(self, service: str, region: str) -> Any:  # noqa: ANN401 - as _client
        import boto3  # noqa: PLC0415 - it takes a while, and many a broker never needs it
        from botocore.config import Config  # noqa: PLC0415 - as boto3

        for name in _TELL_BODIES:
            logging.getLogger(name).setLevel(logging.WARNING)
        session, patience = boto3.session.Session(), self._patience
        config = Config(
            connect_timeout=patience.connect_s,
            read_timeout=patience.read_s,
            retries={"total_max_attempts": patience.attempts, "mode": "standard"},
            max_pool_connections=THREADS,
        )
        given: dict[str, Any] = {
            # The other SDKs of AWS, and its own containers, call it AWS_REGION.
            "region_name": region or session.region_name or os.environ.get("AWS_REGION"),
            **self._given,
        }
        make: Any = session.client
        return make(service, config=config, **given)
