"""The settings page: each setting is one entry, and comes from the variable of its name."""

from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
)

from broker.config.forms import (
    ProviderSetting,
    SecretBytes,
    TokenSetting,
    check_address,
    from_json,
    one_or_json,
)

PREFIX: Final = "KEYBROKER_"
"""What stands before a setting's upper-case name in its environment variable."""

Listen = Annotated[str, AfterValidator(check_address)]
ListenOrNot = Annotated[str, AfterValidator(lambda text: text and check_address(text))]
Label = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
Number = Annotated[float, Field(allow_inf_nan=False)]


class Settings(BaseModel):
    """What an operator may set."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    grpc_listen: Listen = Field(
        "127.0.0.1:50051",
        description="Address of the gRPC server. Beyond loopback it needs TLS and tokens.",
    )
    http_listen: ListenOrNot = Field(
        "127.0.0.1:8080",
        description="Address of `/metrics`, `/livez`, `/readyz` and `/status`; empty: none."
        " Beyond loopback it needs TLS and tokens.",
    )
    tls_cert: Path | None = Field(
        None, description="PEM file with the certificate chain of both servers."
    )
    tls_key: Path | None = Field(None, description="PEM file with the certificate's private key.")
    tls_client_ca: Path | None = Field(
        None, description="PEM file with the CAs that must have signed a gRPC client's certificate."
    )
    tokens: Annotated[tuple[TokenSetting, ...], BeforeValidator(from_json)] = Field(
        (),
        description="Who may call: a JSON list of `{name, token or token_sha256, roles, tenants,"
        " untenanted}`. Roles: `gateway`, `observer`, `operator`. `tenants` are globs, all by"
        " default; `untenanted` (default true) allows leases without a tenant. None: everybody"
        " on loopback may do everything.",
    )
    tokens_file: Path | None = Field(
        None, description="File with the same JSON list, instead of `KEYBROKER_TOKENS`."
    )
    env_file: Path = Field(
        Path(".env"),
        description="File with provider keys and settings, read under the environment; it is no"
        " fault that the default is not there. `/dev/null`: none.",
    )
    providers: Annotated[dict[str, ProviderSetting], BeforeValidator(from_json)] = Field(
        {},
        description="Further providers, or changes to the built-in ones: a JSON object of"
        ' `{name: {dialect, base_url, models, fallbacks}}`; fallbacks are `"provider/model"`.',
    )
    boot_probe: Literal["off", "report"] = Field(
        "report", description="`report`: probe every key at the start; `off`: wait for evidence."
    )
    probe_timeout_seconds: Annotated[Number, Field(gt=0, le=60)] = Field(
        10.0, description="How long one probe may take."
    )
    lease_secrets: Annotated[tuple[SecretBytes, ...], BeforeValidator(one_or_json)] = Field(
        (),
        description="Secrets of at least 32 bytes that sign lease ids, as a JSON list or just one:"
        " the first signs, all are accepted. None: made at random, so that leases do not survive a"
        " restart.",
    )
    fingerprint_secret: SecretBytes | None = Field(
        None,
        description="Secret of at least 32 bytes that names the revisions of keys. None: made at"
        " random, so that the names change with a restart.",
    )
    lease_quota_per_principal: Annotated[Number, Field(ge=0)] = Field(
        0.0, description="Leases a minute that one principal may take here; 0: any number."
    )
    lease_quota_per_tenant: Annotated[Number, Field(ge=0)] = Field(
        0.0, description="Leases a minute that one tenant may take here; 0: any number."
    )
    reflection: bool = Field(
        True,  # noqa: FBT003 - the default
        description="Whether gRPC reflection describes the API.",
    )
    replica: Label | None = Field(
        None, description="This replica's name. None: the host's name and a random end."
    )
    drain_seconds: Annotated[Number, Field(ge=0, le=600)] = Field(
        25.0, description="How long calls under way may take to finish after SIGTERM."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="What is logged: this level and above."
    )
    log_format: Literal["auto", "json", "console"] = Field(
        "auto", description="How logs look; `auto`: `console` on a terminal, else `json`."
    )

    @property
    def has_tls(self) -> bool:
        """Are both servers to speak TLS?"""
        return self.tls_cert is not None and self.tls_key is not None


def variable(setting: str) -> str:
    """The environment variable of a setting."""
    return PREFIX + setting.upper()
