"""Sets up logging for the process: our own records and every library's leave the same way."""

import logging
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, Final, TextIO

import structlog
from structlog.typing import Processor, WrappedLogger

from broker.adapters.structlog.redaction import mask_fields, mask_text
from broker.adapters.structlog.stream import LossyStream

LEVELS: Final[Mapping[str, int]] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}

_TALKATIVE: Final = ("httpx", "httpcore", "hpack", "uvicorn.access", "asyncio", "boto3", "botocore")
"""Loggers that tell of every call, some with its headers: only their warnings are of use here."""

_OWN_HANDLERS: Final = ("uvicorn", "uvicorn.error", "uvicorn.access")


def configure_logging(
    level: str = "info", *, stream: TextIO | None = None, as_json: bool | None = None
) -> None:
    """Log from `level` (a key of LEVELS) on to `stream`, stderr by default.

    Lines are JSON unless the stream is a terminal; one that cannot be written is lost. Call it
    once, before anything logs.
    """
    stream = sys.stderr if stream is None else stream
    lossy = LossyStream(stream)
    as_json = not stream.isatty() if as_json is None else as_json
    stamps: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    endings: list[Processor] = [_mask_fields, *_renderers(as_json=as_json, colors=stream.isatty())]
    structlog.configure(
        processors=[*stamps, *endings],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(lossy),  # type: ignore[arg-type]
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(lossy)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*stamps, structlog.stdlib.ExtraAdder(), _add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *endings],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(LEVELS[level])
    for name in _OWN_HANDLERS:
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)


def _renderers(*, as_json: bool, colors: bool) -> list[Processor]:
    # Plain tracebacks in both: richer ones show local variables.
    renderer: Processor
    if as_json:
        renderer = structlog.processors.JSONRenderer()
    else:
        renderer = structlog.dev.ConsoleRenderer(
            colors=colors, exception_formatter=structlog.dev.plain_traceback
        )
    traceback: list[Processor] = [structlog.processors.format_exc_info] if as_json else []

    def render(logger: WrappedLogger, method: str, event_dict: MutableMapping[str, Any]) -> str:
        """The line, as the last thing that can be done to it: also its traceback is masked."""
        return mask_text(str(renderer(logger, method, event_dict)))

    return [*traceback, render]


def _mask_fields(
    _logger: WrappedLogger, _method: str, event_dict: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    for name, value in event_dict.items():
        event_dict[name] = mask_fields(value, name)
    return event_dict


def _add_logger_name(
    _logger: WrappedLogger, _method: str, event_dict: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    event_dict["logger"] = event_dict["_record"].name
    return event_dict
