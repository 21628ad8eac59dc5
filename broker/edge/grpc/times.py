"""Instants and durations as protobuf writes them."""

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp


def timestamp(epoch_s: float) -> Timestamp:
    """An instant in epoch seconds."""
    whole = int(epoch_s)
    return Timestamp(seconds=whole, nanos=int((epoch_s - whole) * 1e9))


def set_timestamp(message: Timestamp, epoch_s: float) -> None:
    """Set an instant in place, which is faster than making one."""
    whole = message.seconds = int(epoch_s)
    message.nanos = int((epoch_s - whole) * 1e9)


def duration(seconds: float) -> Duration:
    """A duration of zero or more seconds."""
    whole = int(seconds)
    return Duration(seconds=whole, nanos=int((seconds - whole) * 1e9))
