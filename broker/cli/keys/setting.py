"""What an operator sets on a tenant's key, as options."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar, Final, Self, TypeAlias

import typer

from broker.cli.exits import CommandError, Exit
from broker.cli.times import read_time
from keybroker.v1 import key_pb2

Put: TypeAlias = Callable[[key_pb2.KeySettings, Any], None]


def _option(name: str, kind: Any, metavar: str, help_text: str) -> Any:  # noqa: ANN401 - a type
    least = 0 if kind is int and name != "priority" else None
    return Annotated[
        kind | None, typer.Option(f"--{name}", metavar=metavar, help=help_text, min=least)
    ]


class SettingOptions:
    """The options, and what they say."""

    OPTIONS: ClassVar[Mapping[str, Any]] = {
        name.replace("-", "_"): _option(name, kind, metavar, help_text)
        for name, kind, metavar, help_text in (
            (
                "weight",
                float,
                "NUMBER",
                "Its share of the load in its priority, above 0.  [unset: 1]",
            ),
            ("priority", int, "NUMBER", "Keys of a higher priority are tried first."),
            (
                "model",
                list[str],
                "GLOB[=NAME]",
                "A model that it serves, and what the provider calls it; may be repeated.",
            ),
            ("concurrency", int, "NUMBER", "Leases at one time; 0: no cap."),
            ("requests-per-minute", int, "NUMBER", "Requests in a minute; 0: no cap."),
            ("tokens-per-minute", int, "NUMBER", "Tokens in a minute; 0: no cap."),
            ("account", str, "NAME", "The account whose bill it shares."),
            ("expires-at", str, "TIME", "When the provider lets it expire, in UTC."),
            ("base-url", str, "URL", "Its own endpoint instead of the provider's."),
        )
    }

    def __init__(self, given: Mapping[str, Any]) -> None:
        """Read them; raises CommandError."""
        self.settings = key_pb2.KeySettings()
        self.paths: list[str] = []
        for name, value in given.items():
            if value not in (None, []):
                path, put = _PUTS[name]
                self.paths.append(path)
                try:
                    put(self.settings, value)
                except ValueError:
                    message = f"--{name.replace('_', '-')}: {value!r} does not fit; give another"
                    raise CommandError(Exit.USAGE, message) from None

    @classmethod
    def from_options(cls, given: Mapping[str, Any]) -> Self:
        """What was given of them."""
        return cls(given)


def _put(field: str) -> Put:
    return lambda settings, value: setattr(settings, field, value)


def _put_weight(settings: key_pb2.KeySettings, weight: float) -> None:
    if not weight > 0:  # 0 would mean that none is set
        advice = "give a number above 0, or use 'keybroker keys disable'"
        raise CommandError(Exit.USAGE, f"--weight: {weight:g} is no weight: {advice}")
    settings.weight = weight


def _put_limit(field: str) -> tuple[str, Put]:
    return f"limits.{field}", lambda settings, value: setattr(settings.limits, field, value)


def _put_models(settings: key_pb2.KeySettings, texts: list[str]) -> None:
    for text in texts:
        glob, _, name = text.partition("=")
        if not glob:
            problem = "write a glob, or glob=name"
            raise CommandError(Exit.USAGE, f"--model: {text!r} names no model: {problem}")
        settings.models[glob] = name


def _put_expiry(settings: key_pb2.KeySettings, text: str) -> None:
    settings.expire_time.CopyFrom(read_time(text, "--expires-at"))


_PUTS: Final[Mapping[str, tuple[str, Put]]] = {
    "weight": ("weight", _put_weight),
    "priority": ("priority", _put("priority")),
    "model": ("models", _put_models),
    "concurrency": _put_limit("concurrency"),
    "requests_per_minute": _put_limit("requests_per_minute"),
    "tokens_per_minute": _put_limit("tokens_per_minute"),
    "account": ("account", _put("account")),
    "expires_at": ("expire_time", _put_expiry),
    "base_url": ("base_url", _put("base_url")),
}
"""Each option's path in KeySettings, and how its value gets there."""

UNSET_PATHS: Final = {
    "models": "models",
    "limits": "limits",
    "account": "account",
    "expires-at": "expire_time",
    "base-url": "base_url",
}
"""What can be taken away again, and its path in KeySettings."""
