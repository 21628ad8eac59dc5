"""Sealing keys: from settings to a sealer, and what looks after them on the services of others."""

from dataclasses import dataclass
from pathlib import Path

from broker.adapters.aws import AwsClients, KmsKeyWrapper
from broker.adapters.keyfiles import KeyFile, Purpose
from broker.adapters.seal import SealingKeyring, load_sealer
from broker.app.errors import StartError
from broker.config import Settings
from broker.config.settings import variable
from broker.ports.agreements import Agreements
from broker.ports.clock import Clock
from broker.ports.sealed_rows import SealedRows
from broker.ports.sealer import RotatingSealer
from broker.services.journal import Journal
from broker.services.opening import Opening
from broker.services.resealing import Resealing
from broker.services.seal_fleet import SealFleet
from broker.services.seal_report import SealReport
from broker.services.seal_watch import SealWatch


@dataclass(frozen=True, slots=True)
class Seal:
    """What looks after sealing keys."""

    fleet: SealFleet
    watch: SealWatch
    report: SealReport
    resealing: Resealing


async def open_sealer(
    settings: Settings, folder: Path | None, rows: SealedRows, aws: AwsClients
) -> SealingKeyring:
    """A sealer with the keys that the settings name; raises Start- and StoreUnavailableError.

    In `folder` the key file lies where nothing else is set; None where brokers share the database.
    """
    path = settings.seal_key_file or (folder / "seal.key" if folder else None)
    try:
        services = [KmsKeyWrapper(arn, aws) for arn in settings.seal_kms_keys]
    except ValueError as error:
        raise StartError(f"{variable('seal_kms_keys')}: {error}") from None
    return await load_sealer(
        KeyFile(path, Purpose.SEAL) if path else None,
        await rows.sealed_by(),
        services=services,
        may_make=folder is not None,
    )


def wire_seal(
    *,
    sealer: RotatingSealer,
    rows: SealedRows,
    agreements: Agreements,
    opening: Opening,
    journal: Journal,
    clock: Clock,
    replica: str,
    is_shared: bool,
) -> Seal:
    """The services over one broker's sealer."""
    fleet = SealFleet(agreements, clock, replica, is_shared)
    return Seal(
        fleet,
        SealWatch(sealer, rows, fleet, journal, clock),
        SealReport(sealer, rows, fleet, opening, clock),
        Resealing(sealer, rows, fleet, opening, journal, clock),
    )
