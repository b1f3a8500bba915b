"""Addresses and limits from the environment, read into one object where a process begins."""

import os
import pwd
import shlex
import socket
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from srgan.errors import ConfigError, explain
from srgan.readable import Bytes
from srgan.refs import Gpu

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

    model_config = SettingsConfigDict(
        env_prefix="SRGAN_",
        frozen=True,
        extra="ignore",
        use_attribute_docstrings=True,  # the reference shows them
    )

    home: Path = Path(".srgan")
    """Data, logs and credentials of the local stack; caches of a node."""
    bucket: str = "srgan"
    """The bucket of everything that srgan writes, except for upscaled photos."""
    team: str = Field("", pattern="^([a-z0-9][a-z0-9-]{0,30})?$")
    """One of several teams that share bucket and servers: a-z, 0-9 and -, at most 31. Empty where
    there is only one."""
    cache_bytes: Bytes = 20 * 2**30
    """Size limit of a node's cache of crop shards, which its training ranks share. A training that
    needs more at a time is refused with both sizes."""
    cluster_wait_s: float = 300.0
    """How long a job waits for a cluster that is too small before it fails, in seconds. One that is
    busy or grows is waited for without a limit."""
    gpu: Gpu = "auto"
    """Parameter ``gpu`` of deployments, when they are registered. ``required`` is for a cluster
    that starts its GPUs on demand, where ``auto`` computes on the CPUs that are there."""
    stall_s: float = Field(600.0, gt=0)
    """Report a training that makes no step for this many seconds, with the stack of every rank."""

    actor: str | None = None
    """Person or service account in the promotion log, and in ``mlflow.user`` of each MLflow run;
    set it on Prefect workers. Default: user and host of the process, ``anna@lab-3``."""
    log_format: Literal["text", "json"] = "text"
    """Form of log lines, except for flow runs, which have Prefect's own: ``text``, or ``json`` for
    an object in each line."""
    log_level: _Level = "INFO"
    """Least level of our log lines that is written: ``DEBUG``, ``INFO``, ``WARNING`` or ``ERROR``.
    Libraries log warnings and errors."""

    s3_endpoint_url: str | None = Field(None, validation_alias="AWS_ENDPOINT_URL")
    """Address of the object store. Default: Amazon's own."""
    s3_region: str = Field("us-east-1", validation_alias="AWS_DEFAULT_REGION")
    """Region of the object store."""
    s3_access_key: SecretStr | None = Field(None, validation_alias="AWS_ACCESS_KEY_ID")
    """Access key of the object store. Without keys boto3 takes those of ``AWS_PROFILE`` or of the
    machine's role."""
    s3_secret_key: SecretStr | None = Field(None, validation_alias="AWS_SECRET_ACCESS_KEY")
    """The secret of that key; both or neither."""
    s3_session_token: SecretStr | None = Field(None, validation_alias="AWS_SESSION_TOKEN")
    """The token of a key that is valid for some hours."""
    s3_request_checksums: _Checksums = Field(
        None, validation_alias="AWS_REQUEST_CHECKSUM_CALCULATION"
    )
    """When boto3 adds checksums to what it sends; some stores keep their framing as content.
    Default: ``when_required`` with an ``AWS_ENDPOINT_URL``, else ``when_supported``."""
    s3_response_checksums: _Checksums = Field(
        None, validation_alias="AWS_RESPONSE_CHECKSUM_VALIDATION"
    )
    """When boto3 checks those of answers; the same default."""
    prefect_api_url: str | None = Field(None, validation_alias="PREFECT_API_URL")
    """Prefect's server, ``http://host:4200/api``."""
    mlflow_tracking_uri: str | None = Field(None, validation_alias="MLFLOW_TRACKING_URI")
    """MLflow's server, ``http://host:5000``."""
    mlflow_public_url: _Page = None
    """Address of MLflow in people's browsers, with which links in artifacts, reports, model cards
    and output begin. Default: ``MLFLOW_TRACKING_URI``."""
    prefect_public_url: _Page = None
    """Address of Prefect's pages in people's browsers, for links. Default: ``PREFECT_UI_URL``, else
    the address of ``PREFECT_API_URL``."""
    ray_address: str | None = Field(None, validation_alias="RAY_ADDRESS")
    """Ray's job server, ``http://host:8265``."""

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

    def run_command(self, deployment: str, **parameters: object) -> str:
        """Return the command that runs a deployment, FLOW/NAME, under the team's name for it."""
        flow, _, name = deployment.partition("/")
        given = [shlex.quote(f"{parameter}={value}") for parameter, value in parameters.items()]
        # Not quoted: no shell expands a tilde within a word.
        command = f"prefect deployment run {flow}/{self.shared(name)}"
        return " --param ".join([command, *given])

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


def reference_table() -> str:
    """The rows of the settings in ``docs/reference.md``."""
    rows = ""
    for name, field in Settings.model_fields.items():
        meaning = " ".join((field.description or "").split()).replace("``", "`")
        rows += f"| `{_variable(name)}` | {_shown(field.default)} | {meaning} |\n"
    return rows


def _shown(default: object) -> str:
    """A default as people write it; "" for None."""
    if isinstance(default, int):
        return f"`{default // 2**30}GiB`"  # of all settings only sizes are whole numbers
    text = f"{default:g}" if isinstance(default, float) else str(default or "")
    return f"`{text}`" if text else ""


def inherited_environment() -> dict[str, str]:
    """This process's environment without the variables that point to other services."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}


def foreign_variables() -> list[str]:
    """Names of this process's environment variables that point to other services."""
    return [name for name in os.environ if name.startswith(_FOREIGN)]
