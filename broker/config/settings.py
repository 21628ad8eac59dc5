"""The settings page: each setting is one entry, and comes from the variable of its name."""

from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
)

from broker.config.forms import (
    ProviderSetting,
    SecretBytes,
    TokenSetting,
    check_address,
    check_hour,
    from_json,
    names,
    one_or_json,
)
from broker.config.stores import (
    SecretSetting,
    TenantTable,
    check_database,
    check_kms_key,
    secret_selectors,
)
from broker.core.tenancy import PolicyMode
from broker.services.boot import BootPolicy

PREFIX: Final = "KEYBROKER_"
"""What stands before a setting's upper-case name in its environment variable."""

Listen = Annotated[str, AfterValidator(check_address)]
ListenOrNot = Annotated[str, AfterValidator(lambda text: text and check_address(text))]
Label = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
KmsKey = Annotated[str, AfterValidator(check_kms_key)]
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
    keys_file: Path | None = Field(
        None,
        description="TOML file with further provider keys: a table `[[provider]]` a key, with"
        " `name`, `secret` and what else is to be said of it.",
    )
    providers: Annotated[dict[str, ProviderSetting], BeforeValidator(from_json)] = Field(
        {},
        description="Further providers, or changes to the built-in ones: a JSON object of"
        ' `{name: {dialect, base_url, models, fallbacks}}`; fallbacks are `"provider/model"`.',
    )
    secrets_manager: Annotated[tuple[SecretSetting, ...], BeforeValidator(secret_selectors)] = (
        Field(
            (),
            description="Secrets of AWS Secrets Manager with further provider keys: names and"
            " prefixes (`keybroker/*`) with commas between them, or a JSON list of"
            " `{name | prefix | tag, provider}`. Region, credentials and endpoint are boto3's own:"
            " `AWS_REGION`, a role, ….",
        )
    )
    source_poll_seconds: Annotated[Number, Field(ge=1, le=3600)] = Field(
        60.0,
        description="How often Secrets Manager is read, ± 10 %; every second while one of its keys"
        " is quarantined. Local files are read every second.",
    )
    source_copy_folder: Path | None = Field(
        None,
        description="Folder for sealed copies of what Secrets Manager gave last: a broker that"
        " starts while it is away serves from them. None: `copies` beside the SQLite database, and"
        " with PostgreSQL no copies are kept.",
    )
    max_stale_hours: Annotated[Number, Field(gt=0, le=8760)] = Field(
        24.0,
        description="How long keys are leased that their source, or the database, could not"
        " confirm since.",
    )
    database: Annotated[str, AfterValidator(check_database)] = Field(
        "sqlite:///.keybroker/keybroker.db",
        description="Where tenants' keys, health and history are kept: `sqlite:///` and a path"
        " (`sqlite:////` for one from the root); `postgresql://user@host:5432/name`, which several"
        " brokers may share, with libpq's parameters such as `sslmode`; or `memory`: nothing"
        " outlives the process. Key files that the broker makes lie beside the SQLite file.",
    )
    database_password: SecretStr | None = Field(
        None, description="Password for PostgreSQL; it may also stand in a `PGPASSFILE`."
    )
    tenant_table: TenantTable = Field(
        None,
        description="Another system's table of tenants' keys, read and never written: a JSON object"
        " `{url, table | query, columns, providers, cipher, cipher_key_file, poll_seconds}`;"
        " see docs/existing-table.md.",
    )
    seal_key_file: Path | None = Field(
        None,
        description="File with the sealing keys, under which secrets are kept in the database."
        " None: `seal.key` beside the SQLite database, made at the first start.",
    )
    seal_kms_keys: Annotated[tuple[KmsKey, ...], BeforeValidator(names)] = Field(
        (),
        description="ARNs of AWS KMS keys that seal in place of a file: the first seals until"
        " `keybroker seal rotate` names another, all open.",
    )
    event_retention_days: Annotated[Number, Field(gt=0, le=3650)] = Field(
        90.0, description="How long events are kept."
    )
    default_tenant_policy: PolicyMode = Field(
        PolicyMode.SYSTEM_ONLY,
        description="Whose keys serve a tenant for which nothing is set: `SYSTEM_ONLY`,"
        " `TENANT_ONLY` or `TENANT_THEN_SYSTEM`. The first key of a tenant sets `TENANT_ONLY`.",
    )
    tenant_cache_size: Annotated[int, Field(ge=100, le=10_000_000)] = Field(
        10_000,
        description="How many tenants and keys of theirs, counted together, are kept in memory;"
        " others are read when they are asked for.",
    )
    boot_probe: BootPolicy = Field(
        BootPolicy.REPORT,
        description="What probes at the start are for. `off`: none are made. `report`: they are"
        " told, nothing waits for them. `require-any`, `require-all`: the replica is not ready"
        " (`/readyz`, gRPC health, `GetStatus.not_ready`) while a required provider has no key"
        " that is accepted, or any that is rejected. A key that no probe can tell about is let"
        " through after 30 s. It becomes ready when the keys are mended, and then stays so;"
        " AcquireLease answers all the while.",
    )
    required_providers: Annotated[tuple[str, ...], BeforeValidator(names)] = Field(
        (),
        description="The providers that `require-any` and `require-all` are about, with commas"
        " between them or as a JSON list. None: all that have keys.",
    )
    sentinel_seconds: Annotated[Number, Field(ge=0, le=86_400)] = Field(
        60.0,
        description="How often system keys without successful traffic are probed, ± 10 %;"
        " 0: never.",
    )
    expiry_reminder_days: Annotated[Number, Field(ge=0, le=365)] = Field(
        7.0,
        description="How many days before a key's `expires_at` the first reminder comes; the next"
        " ones come a day before and when it has expired.",
    )
    daily_report: Annotated[str, AfterValidator(check_hour)] = Field(
        "08:00",
        description="When the daily report is made, `HH:MM` in UTC; empty: never.",
    )
    probe_timeout_seconds: Annotated[Number, Field(gt=0, le=60)] = Field(
        10.0, description="How long one probe may take."
    )
    lease_secrets: Annotated[tuple[SecretBytes, ...], BeforeValidator(one_or_json)] = Field(
        (),
        description="Secrets of at least 32 bytes that sign lease ids, as a JSON list or just one:"
        " the first signs, all are accepted. None: `lease.key` beside the SQLite database.",
    )
    fingerprint_secret: SecretBytes | None = Field(
        None,
        description="Secret of at least 32 bytes that names the revisions of keys. None:"
        " `fingerprint.key` beside the SQLite database.",
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
