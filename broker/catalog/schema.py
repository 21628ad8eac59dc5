"""What a catalogue file may say: one model a table of the file."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from broker.core.verdicts.dialect import HintForm
from broker.core.words import Evidence, Kind, QuotaWindow, ScopeKind

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(?:[-_][a-z0-9]+)*$")]
Text = Annotated[str, StringConstraints(min_length=1)]
HeaderName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]+$")]
Path = Annotated[str, StringConstraints(pattern=r"^[^.\[\]]+(?:\[\])*(?:\.[^.\[\]]+(?:\[\])*)*$")]
"""Members joined by dots, `[]` after one that is an array: `error.details[].reason`."""

ValuePattern = Annotated[str, StringConstraints(pattern=r"^(?:\*?[^*]+\*?|\*)$")]
"""A whole word, or one with `*` at its beginning, its end or both; `*` is any."""

SuccessMarkText = Annotated[str, StringConstraints(pattern=r"^[^!=]+(?:!?=[^!=]+)?$")]
"""A path that is present, `path=value` or `path!=value`."""

Status = Annotated[int, Field(ge=100, le=4999)]
"""Of HTTP, or the close code of a WebSocket."""

Url = Annotated[str, StringConstraints(pattern=r"^https?://[^\s]+$")]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class KeyTable(_Table):
    """How a key travels."""

    header: Text = "Authorization"
    prefix: str = "Bearer "
    extra_headers: dict[Text, str] = {}


class ProbeTable(_Table):
    """A call that costs nothing, and whether its success proves the key."""

    method: Literal["GET", "POST"] = "GET"
    path: Annotated[str, StringConstraints(pattern=r"^/")]
    authenticates: bool
    models: Path | None = None
    model_prefix: str = ""


class ErrorsTable(_Table):
    """Where errors sit in a body."""

    message: tuple[Path, ...] | None = None
    nested: tuple[Path, ...] | None = None
    success: tuple[SuccessMarkText, ...] | None = None
    status: tuple[Path, ...] | None = None
    error_name: Name | None = None
    raw_streams: bool = False
    fields: dict[Name, tuple[Path, ...]] = {}
    headers: dict[Name, tuple[HeaderName, ...]] = {}


class HeaderHintTable(_Table):
    """A header that says when to come back."""

    name: HeaderName
    form: HintForm = HintForm.RETRY_AFTER
    when_zero: HeaderName | None = None


class HintsTable(_Table):
    """Where retry hints sit."""

    headers: tuple[HeaderHintTable, ...] = ()
    fields: tuple[Path, ...] = ()
    phrases: tuple[Text, ...] = ()
    resets: tuple[HeaderHintTable, ...] = ()


class LimitTable(_Table):
    """Two headers that tell a limit and what is left of it."""

    limit: HeaderName
    remaining: HeaderName


class ResetsTable(_Table):
    """When quota windows end."""

    time_zone: Text = "UTC"
    hour: Annotated[int, Field(ge=0, le=23)] = 0


class Example(_Table):
    """An answer that a rule must recognise, and the hint it carries (seconds)."""

    status: Status | None = None
    headers: dict[HeaderName, str] = {}
    body: str = ""
    retry_hint_s: float | None = None


class RuleTable(_Table):
    """What an answer must look like to mean `kind`; all conditions must hold.

    With `replaces` it stands in the place of the inherited rule of its name.
    """

    name: Name
    replaces: bool = False
    kind: Kind
    scope: ScopeKind | None = None
    evidence: Evidence = Evidence.CERTAIN
    quota_window: QuotaWindow | None = None
    missing_auth: bool = False
    status: tuple[Status, ...] = ()
    fields: dict[Name, Annotated[tuple[ValuePattern, ...], Field(min_length=1)]] = {}
    headers: dict[HeaderName, Annotated[tuple[ValuePattern, ...], Field(min_length=1)]] = {}
    starts: tuple[Text, ...] = ()
    whole: tuple[Text, ...] = ()
    page: tuple[Text, ...] = ()
    examples: Annotated[tuple[Example, ...], Field(min_length=1)]


class DialectFile(_Table):
    """One file. An `abstract` one only lends its tables to those that extend it."""

    title: Text
    abstract: bool = False
    extends: Name | None = None
    base_url: Url | None = None
    help_url: Url | None = None
    status_url: Url | None = None
    key: KeyTable | None = None
    probe: ProbeTable | None = None
    errors: ErrorsTable = ErrorsTable()
    hints: HintsTable | None = None
    limits: tuple[LimitTable, ...] | None = None
    resets: ResetsTable | None = None
    rules: tuple[RuleTable, ...] = ()
