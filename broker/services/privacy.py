"""What of a status is whose business: nobody is shown names of tenants that it does not serve."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from broker.core.key import is_system_id
from broker.core.scope import Scope, upstream_scope
from broker.services.keyring import Keyring
from broker.services.principal import Principal
from broker.services.status import BrokerStatus, IncidentStatus, SourceStatus


@dataclass(frozen=True, slots=True)
class Privacy:
    """Leaves out of a status what a gateway for some tenants must not see.

    That are ids and accounts of other tenants' keys, their endpoints, models that they may have
    named, and how other gateways see an upstream.
    """

    keyring: Keyring

    def shown_to(self, principal: Principal, status: BrokerStatus) -> BrokerStatus:
        """The status as a principal may see it: all of it, unless it is bound to some tenants."""
        if principal.sees_every_tenant:
            return status
        eyes = _Eyes(self.keyring, principal)
        circuits = tuple(view for view in status.circuits if eyes.see(view.record.scope))
        return replace(
            status,
            circuits=circuits,
            circuit_count=len(circuits),
            incidents=tuple(_incidents(eyes, status)),
            sources=tuple(map(_nameless, status.sources)),
            upstreams=tuple(
                shown for shown in status.upstreams if eyes.see(upstream_scope(shown.upstream))
            ),
        )


class _Eyes:
    """What one principal may see at one moment."""

    def __init__(self, keyring: Keyring, principal: Principal) -> None:
        self._keyring = keyring
        self._principal = principal
        self._models: dict[str, frozenset[str]] = {}
        self._endpoints: dict[str, frozenset[str]] = {}

    def see(self, scope: Scope) -> bool:
        """May it see what is about this scope?"""
        if scope.principal not in {"", self._principal.name}:
            return False
        if scope.model and scope.model not in self._models_of(scope.provider):
            return False
        if scope.key_id:
            return self.see_key(scope.key_id)
        if scope.owner:
            return self._principal.serves(scope.owner)
        return not scope.endpoint or scope.endpoint in self._endpoints_of(scope.provider)

    def see_key(self, key_id: str) -> bool:
        """May it see this key; of one that is not at hand nobody knows whose it is."""
        key = self._keyring.find(key_id)
        if key is None:
            return is_system_id(key_id)
        return not key.owner or self._principal.serves(key.owner)

    def _models_of(self, provider: str) -> frozenset[str]:
        """Those that are no tenant's own: others may be words of anybody."""
        if provider not in self._models:
            self._models[provider] = frozenset(self._keyring.models.offered(provider))
        return self._models[provider]

    def _endpoints_of(self, provider: str) -> frozenset[str]:
        if provider not in self._endpoints:
            keys = self._keyring.every(provider)
            self._endpoints[provider] = frozenset(
                key.base_url for key in keys if not key.owner or self._principal.serves(key.owner)
            )
        return self._endpoints[provider]


def _nameless(source: SourceStatus) -> SourceStatus:
    """A source whose faults name no tenants."""
    if not source.is_of_tenants or not source.faults:
        return source
    return replace(source, faults=("it, or what tenants have there, cannot all be used",))


def _incidents(eyes: _Eyes, status: BrokerStatus) -> Iterator[IncidentStatus]:
    for incident in status.incidents:
        key_ids = tuple(key_id for key_id in incident.key_ids if eyes.see_key(key_id))
        if key_ids:
            yield replace(incident, key_ids=key_ids)
