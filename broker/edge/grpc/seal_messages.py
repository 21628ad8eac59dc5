"""What operators are told of sealing, between protobuf and the services."""

from broker.ports.sealed_rows import SealedRow
from broker.services.seal_report import SealView
from broker.services.seal_walk import SealProgress
from keybroker.v1 import admin_pb2, status_pb2


def write_seal(view: SealView) -> admin_pb2.GetSealResponse:
    """The message of all sealing keys."""
    state = status_pb2.SEAL_STATE_SEALED if view.fault else status_pb2.SEAL_STATE_OPEN
    return admin_pb2.GetSealResponse(
        seal=status_pb2.SealStatus(state=state, fault=view.fault or view.trouble),
        current_key_id=view.current,
        keys=[
            admin_pb2.SealingKey(
                key_id=key.key_id,
                at_hand=key.is_at_hand,
                row_count=key.rows,
                missing_at=key.missing_at,
            )
            for key in view.keys
        ],
    )


def write_verification(progress: SealProgress) -> admin_pb2.VerifySealResponse:
    """The message of how far opening everything is."""
    return admin_pb2.VerifySealResponse(
        done_count=progress.done,
        total_count=progress.total,
        unreadable=map(_row, progress.unreadable),
        done=progress.is_last,
    )


def write_rotation(progress: SealProgress) -> admin_pb2.RotateSealResponse:
    """The message of how far sealing everything anew is."""
    return admin_pb2.RotateSealResponse(
        key_id=progress.key_id,
        done_count=progress.done,
        total_count=progress.total,
        unreadable=map(_row, progress.unreadable),
        done=progress.is_last,
    )


def _row(row: SealedRow) -> admin_pb2.SealedRow:
    return admin_pb2.SealedRow(
        table=row.name.table,
        key_id=row.name.key_id,
        revision=row.name.revision,
        tenant_id=row.binding.tenant,
        provider=row.binding.provider,
        sealed_by=row.sealed.sealed_by,
    )
