"""News for holders of leases as WatchKeys sends it."""

from broker.edge.grpc.times import timestamp
from broker.edge.grpc.words import DEATH_CAUSES
from broker.services.watching import Death, News, Recovery, Synced
from keybroker.v1 import lease_pb2


def write_news(news: News, replica: str) -> lease_pb2.WatchKeysResponse:
    """The message of one piece of news."""
    match news:
        case Synced():
            synced = lease_pb2.WatchSynced(time=timestamp(news.at), replica=replica)
            return lease_pb2.WatchKeysResponse(synced=synced)
        case Death():
            return lease_pb2.WatchKeysResponse(death=_death(news))
        case Recovery():
            return lease_pb2.WatchKeysResponse(recovery=_recovery(news))


def _death(death: Death) -> lease_pb2.Death:
    before, until = death.granted_before, death.until
    return lease_pb2.Death(
        provider=death.provider,
        key_id=death.key_id,
        revision=death.revision,
        model=death.model,
        tenant_id=death.tenant,
        granted_before=None if before is None else timestamp(before),
        cause=DEATH_CAUSES[death.cause],
        until=None if until is None else timestamp(until),
    )


def _recovery(recovery: Recovery) -> lease_pb2.Recovery:
    return lease_pb2.Recovery(
        provider=recovery.provider,
        key_id=recovery.key_id,
        revision=recovery.revision,
        model=recovery.model,
        cause=DEATH_CAUSES[recovery.cause],
    )
