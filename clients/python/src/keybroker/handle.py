"""A lease in its caller's hands: what it shows. Async and sync leases add how it is reported."""

from datetime import datetime

from keybroker.record import CallRecord
from keybroker.secret import Secret
from keybroker.words import Provenance


class Handle:
    """The right to use one key for one upstream, and what it takes to do so."""

    def __init__(self, record: CallRecord) -> None:
        self._record = record

    def __repr__(self) -> str:
        grant = self._record.grant
        return f"<{type(self).__name__} {grant.target} on {grant.key_id} ({grant.provenance})>"

    def headers(self) -> dict[str, str]:
        """Headers that authenticate to the provider. They hold the secret: log them nowhere."""
        self._record.begin()
        return self._record.grant.headers

    def sent(self) -> None:
        """Say that the request goes out now: leaving without a report then means that it went well.

        A lease that is left neither sent nor reported is given back as unused.
        """
        self._record.sent()

    @property
    def time_left(self) -> float | None:
        """Seconds that `call` leaves for the provider to answer; None: any number."""
        return self._record.time_left

    @property
    def secret(self) -> Secret:
        """The key's secret: `.reveal()` it where it leaves for the provider, nowhere else."""
        self._record.begin()
        return self._record.grant.secret

    @property
    def base_url(self) -> str:
        """Where to send the request, without a trailing slash."""
        return self._record.grant.base_url

    @property
    def provider(self) -> str:
        """The provider; a fallback's when the lease is for a fallback."""
        return self._record.grant.target.provider

    @property
    def model(self) -> str:
        """The model, as you call it."""
        return self._record.grant.target.model

    @property
    def provider_model(self) -> str:
        """What the provider calls the model: send this one."""
        return self._record.grant.provider_model

    @property
    def key_id(self) -> str:
        """The key."""
        return self._record.grant.key_id

    @property
    def revision(self) -> str:
        """The revision of the key."""
        return self._record.grant.revision

    @property
    def provenance(self) -> Provenance:
        """Whose key it is, and so who pays."""
        return self._record.grant.provenance

    @property
    def expires_at(self) -> datetime:
        """When the lease ends, by the broker's clock."""
        return self._record.grant.expires_at

    @property
    def trial(self) -> bool:
        """Does this one lease decide whether the key recovered? Then its report matters."""
        return self._record.grant.trial

    @property
    def degraded(self) -> bool:
        """Was it granted while the replica was cut off from the others?"""
        return self._record.grant.degraded

    @property
    def request_id(self) -> str:
        """The request that the lease is for."""
        return self._record.ask.request_id

    @property
    def attempt(self) -> int:
        """Which attempt of the request it is, counted from 1."""
        return self._record.grant.attempt
