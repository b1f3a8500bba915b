"""Checks of MLflow: its server, and that its artifacts can be reached through it."""

from functools import partial

from srgan.doctor.addresses import reach
from srgan.doctor.checks import Check, Seen, ok
from srgan.logs import without_password
from srgan.services.mlflow_runs import list_artifacts, mlflow_client
from srgan.settings import Settings

_REMEDY = (
    "Set MLFLOW_TRACKING_URI to the root of MLflow's server (http://HOST:5000). "
    "If it refuses this host's name, start it with --allowed-hosts"
)
_ARTIFACTS = (
    "Look at the server's log: it needs --serve-artifacts, and credentials for its own "
    "--artifacts-destination"
)
_IMPORT_LIMIT_S = 45.0


def registry_checks(settings: Settings) -> list[Check]:
    """Return the checks of the MLflow server that `settings` name."""
    check = partial(Check, remedy=_REMEDY)
    return [
        check("address", lambda: _address(settings)),
        # Importing MLflow takes seconds, on a busy machine many.
        check("server", lambda: _server(settings), needs=("address",), limit_s=_IMPORT_LIMIT_S),
        check("artifacts", lambda: _artifacts(settings), needs=("server",), remedy=_ARTIFACTS),
    ]


def _address(settings: Settings) -> Seen:
    address = settings.require("mlflow_tracking_uri")
    if address.startswith(("http:", "https:")):
        return reach(address, "MLFLOW_TRACKING_URI")
    return ok(f"{without_password(address)}, which is not a server")


def _server(settings: Settings) -> Seen:
    mlflow_client(settings).search_experiments(max_results=1)
    public = settings.mlflow_public_url
    return ok(f"answers; links begin with {without_password(public)}" if public else "answers")


def _artifacts(settings: Settings) -> Seen:
    return ok(f"listed in {list_artifacts(settings)}")
