"""`import_shipped` on a real registry and a real object store."""

import hashlib

import pytest

from srgan.errors import ConfigError
from srgan.models.shipped import SHIPPED, read_shipped
from srgan.services.mlflow_models import CHALLENGER, CHAMPION
from srgan.services.s3 import S3Store
from srgan.settings import Settings
from srgan.versions.services import Services
from srgan.versions.shipped import import_shipped

pytestmark = pytest.mark.filterwarnings("ignore::Warning:mlflow", "ignore::Warning:pydantic")


@pytest.fixture
def services(mlflow_settings: Settings, service_store: S3Store) -> Services:
    return Services(Settings(), print)


def test_the_first_champion_of_a_model_is_the_shipped_generator_and_stays_it(
    services: Services,
) -> None:
    version, entry = import_shipped(services, "shipped", "day-one")
    assert entry is not None
    assert entry.decision.reason == (
        "Version 1 becomes the first champion by hand: it comes with srgan, and there was no "
        "champion to compare it with. The gate had not decided on it."
    )
    assert services.registry.alias("day-one", CHAMPION) == version.version == 1
    assert services.registry.alias("day-one", CHALLENGER) is None
    data = services.registry.load_generator_bytes(version)
    assert data == read_shipped("shipped")
    assert version.weights_digest == hashlib.sha256(data).hexdigest()

    assert import_shipped(services, "shipped", "day-one") == (version, None)
    sharp, entry = import_shipped(services, "shipped:sharp", "day-one")
    assert (sharp.version, entry) == (2, None)
    assert services.champion("day-one") == version


def test_an_unknown_name_is_refused_before_anything_is_registered(services: Services) -> None:
    with pytest.raises(ConfigError, match=f"no shipped model 'best'.*{', '.join(SHIPPED)}"):
        import_shipped(services, "best", "never-made")
    assert "never-made" not in services.registry.names()
