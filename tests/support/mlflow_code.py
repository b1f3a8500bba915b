"""Parts of MLflow's server; their import warns of how MLflow itself uses SQLAlchemy."""

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from mlflow.cli import cli
    from mlflow.server.security_utils import is_allowed_host_header, should_block_cors_request

__all__ = ["cli", "is_allowed_host_header", "should_block_cors_request"]
