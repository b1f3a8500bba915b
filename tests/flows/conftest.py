"""What flows of these tests find in their environment."""

import pytest

from srgan.adapters.s3 import S3Store


@pytest.fixture
def flow_store(service_store: S3Store) -> S3Store:
    """The empty bucket, with an environment that leads flows to it and to the tests' MLflow."""
    return service_store
