"""What flows of these tests find in their environment."""

from pathlib import Path

import pytest

from srgan.adapters.s3 import S3Store
from srgan.settings import Settings


@pytest.fixture
def flow_store(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    s3_settings: Settings,
    mlflow_settings: Settings,
    object_store: S3Store,
) -> S3Store:
    """The empty bucket, with an environment that leads flows to it and to the tests' MLflow."""
    assert s3_settings.s3_access_key is not None
    assert s3_settings.s3_secret_key is not None
    for name, value in {
        "AWS_ENDPOINT_URL": s3_settings.require("s3_endpoint_url"),
        "AWS_ACCESS_KEY_ID": s3_settings.s3_access_key.get_secret_value(),
        "AWS_SECRET_ACCESS_KEY": s3_settings.s3_secret_key.get_secret_value(),
        "AWS_DEFAULT_REGION": s3_settings.s3_region,
        "SRGAN_BUCKET": s3_settings.bucket,
        "SRGAN_HOME": str(tmp_path),
        "MLFLOW_TRACKING_URI": mlflow_settings.require("mlflow_tracking_uri"),
    }.items():
        monkeypatch.setenv(name, value)
    return object_store
