"""Addresses and limits from the environment, read into one object where a process begins."""

import os
import pwd
import socket
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from srgan.errors import ConfigError, explain
from srgan.readable import Bytes

Checksums = Literal["when_supported", "when_required"]
"""When botocore adds its own checksums, or checks them."""

_Checksums = Annotated[Checksums | None, BeforeValidator(lambda text: (text or "").lower() or None)]

_Level = Annotated[
    Literal["DEBUG", "INFO", "WARNING", "ERROR"], BeforeValidator(lambda text: str(text).upper())
]

_Page = Annotated[
    Annotated[str, Field(pattern="^https?://")] | None,
    BeforeValidator(lambda text: (text or "").rstrip("/") or None),
]

_OF = "~"
"""Between a team and the name of what it has on a shared server; names of models lack it."""

_FOREIGN = ("AWS_", "MLFLOW_", "PREFECT_", "RAY_", "SUPERVISOR_")


class Settings(BaseSettings):
    """`SRGAN_*` plus the standard variables of S3, Prefect, MLflow and Ray.

    Nothing else in the project reads the environment. The libraries read their own variables
    (Ray its token, Prefect its API address) in the processes that `srgan stack` starts.
    """

    model_config = SettingsConfigDict(env_prefix="SRGAN_", frozen=True, extra="ignore")

    home: Path = Path(".srgan")
    """Data, logs and credentials of the local stack, and caches."""
    bucket: str = "srgan"
    team: str = Field("", pattern="^([a-z0-9][a-z0-9-]{0,30})?$")
    """One of several teams on these services; empty where there is only one."""
    cache_bytes: Bytes = 20 * 2**30
    """Size limit of the local shard cache, which the training ranks of a node share."""
    cluster_wait_s: float = 300.0
    """How long a job waits for a cluster that is too small before it fails."""
    stall_s: float = Field(600.0, gt=0)
    """Report a training that makes no step for this long, with the stack of every rank."""

    actor: str | None = None
    """Person or service account that decisions and runs are recorded under; see `who`."""
    log_format: Literal["text", "json"] = "text"
    """Form of log lines, except for flow runs, which have Prefect's own."""
    log_level: _Level = "INFO"
    """Least level of our log lines that is written."""

    s3_endpoint_url: str | None = Field(None, validation_alias="AWS_ENDPOINT_URL")
    s3_region: str = Field("us-east-1", validation_alias="AWS_DEFAULT_REGION")
    s3_access_key: SecretStr | None = Field(None, validation_alias="AWS_ACCESS_KEY_ID")
    s3_secret_key: SecretStr | None = Field(None, validation_alias="AWS_SECRET_ACCESS_KEY")
    s3_session_token: SecretStr | None = Field(None, validation_alias="AWS_SESSION_TOKEN")
    s3_request_checksums: _Checksums = Field(
        None, validation_alias="AWS_REQUEST_CHECKSUM_CALCULATION"
    )
    s3_response_checksums: _Checksums = Field(
        None, validation_alias="AWS_RESPONSE_CHECKSUM_VALIDATION"
    )
    prefect_api_url: str | None = Field(None, validation_alias="PREFECT_API_URL")
    mlflow_tracking_uri: str | None = Field(None, validation_alias="MLFLOW_TRACKING_URI")
    mlflow_public_url: _Page = None
    """Address of MLflow in people's browsers, for links; default: `mlflow_tracking_uri`."""
    prefect_public_url: _Page = None
    """Address of Prefect's pages in people's browsers, for links; default: Prefect's own setting,
    else its API's address."""
    ray_address: str | None = Field(None, validation_alias="RAY_ADDRESS")
    """Address of Ray's job server, ``http://host:8265``."""

    def __init__(self, **given: Any) -> None:
        """Read the environment; `ConfigError` names each variable with a value that is not valid.

        `given` takes the place of the environment.
        """
        try:
            super().__init__(**given)
        except ValidationError as error:
            raise ConfigError(explain(error, name=_variable)) from error

    @property
    def who(self) -> str:
        """The `actor`, else the user of this process and its host: ``anna@lab-3``."""
        if self.actor:
            return self.actor
        try:
            user = pwd.getpwuid(os.getuid()).pw_name
        except KeyError:  # a container may run as a number without a name
            user = str(os.getuid())
        return f"{user}@{socket.gethostname()}"

    def shared(self, name: str) -> str:
        """Return what a server that teams share calls the team's `name`: ``anna~pets-x4``."""
        return f"{self.team}{_OF}{name}" if self.team else name

    def own(self, shared: str) -> str | None:
        """Return the team's name of something on a shared server; None if it is another team's."""
        team, _, name = shared.rpartition(_OF)
        return name if team == self.team else None

    def require(self, field: str) -> str:
        """Return a setting that this process needs; `ConfigError` names the variable if unset."""
        value = getattr(self, field)
        if value:
            return str(value)
        raise ConfigError(
            f"{_variable(field)} is not set. Start the local services with `srgan stack up` and "
            f'run `eval "$(srgan stack env)"`, or set it to your own service.'
        )


def _variable(field: str) -> str:
    """Name of the environment variable of a field; pydantic names some fields by it already."""
    if field not in Settings.model_fields:
        return field
    alias = Settings.model_fields[field].validation_alias
    return alias if isinstance(alias, str) else f"SRGAN_{field.upper()}"


def inherited_environment() -> dict[str, str]:
    """This process's environment without the variables that point to other services."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}


def foreign_variables() -> list[str]:
    """Names of this process's environment variables that point to other services."""
    return [name for name in os.environ if name.startswith(_FOREIGN)]
