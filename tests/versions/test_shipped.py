"""`import_shipped` on a real registry and a real object store."""

import hashlib
from pathlib import Path

import pytest

from srgan.errors import ConfigError
from srgan.models.shipped import SHIPPED, read_shipped, shipped_card
from srgan.services.mlflow_models import CHALLENGER, CHAMPION
from srgan.services.mlflow_runs import mlflow_client
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


def test_a_card_that_is_too_long_for_postgresql_is_whole_beside_the_weights(
    services: Services, tmp_path: Path
) -> None:
    """SQLite, which the tests' MLflow has, would take more than its column says."""
    version, _ = import_shipped(services, "shipped", "with-a-card")
    client = mlflow_client(services.settings)
    shown = client.get_model_version(version.name, str(version.version))
    whole = shipped_card()
    assert len(whole) > 5000, "or this test shows nothing"
    assert len(shown.description) == 5000
    assert shown.description.endswith("The rest is in the run's `model-card.md`.")
    kept = client.download_artifacts(shown.run_id, "model-card.md", str(tmp_path))
    assert Path(kept).read_text(encoding="utf-8") == whole


def test_an_unknown_name_is_refused_before_anything_is_registered(services: Services) -> None:
    with pytest.raises(ConfigError, match=f"no shipped model 'best'.*{', '.join(SHIPPED)}"):
        import_shipped(services, "best", "never-made")
    assert "never-made" not in services.registry.names()
