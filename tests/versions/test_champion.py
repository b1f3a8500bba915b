"""The champion is the one of the promotion log, whatever happened to MLflow's alias."""

import secrets

import pytest

from srgan.errors import RegistryError
from srgan.promotion.decide import promote_by_hand
from srgan.promotion.log import PromotionLog
from srgan.refs import ModelRef
from srgan.services.mlflow_models import CHALLENGER, CHAMPION, Registry
from srgan.services.mlflow_runs import mlflow_client
from srgan.services.s3 import S3Store
from srgan.settings import Settings
from srgan.versions.champion import champion_of, find_version
from srgan.versions.register import Registrar
from tests.support.versions import lineage, weights

pytestmark = pytest.mark.filterwarnings("ignore::Warning:mlflow", "ignore::Warning:pydantic")


@pytest.fixture
def versions(mlflow_settings: Settings) -> list[ModelRef]:
    """Two versions of a model of this test; the second is challenger."""
    model = f"crown-{secrets.token_hex(4)}"
    registry = Registrar(mlflow_settings)
    return [
        registry.register(model, weights(n), lineage(f"adversarial-{model}-{n}", weights(n)))
        for n in (1, 2)
    ]


@pytest.fixture
def registry(mlflow_settings: Settings) -> Registry:
    return Registry(mlflow_settings)


def crown(store: S3Store, version: ModelRef) -> PromotionLog:
    log = PromotionLog(store, version.name)
    promote_by_hand(log, version, log.champion(), "v1", "it is the test's")
    return log


@pytest.mark.parametrize("address", ["{}", "{}@champion", "models:/{}@champion"])
def test_a_name_and_its_champion_mean_the_log_s_and_an_alias_moved_by_hand_is_corrected(
    registry: Registry, object_store: S3Store, versions: list[ModelRef], address: str
) -> None:
    first, second = versions
    log = crown(object_store, second)
    registry.set_alias(log.model, CHAMPION, first.version)
    said: list[str] = []
    found = find_version(registry, object_store, address.format(log.model), said.append)
    assert found == champion_of(registry, log, said.append) == second
    assert registry.alias(log.model, CHAMPION) == second.version
    assert said == [f"alias champion of {log.model}: version 1 → version 2, as the log says"]


def test_other_addresses_mean_what_they_say(
    registry: Registry, object_store: S3Store, versions: list[ModelRef]
) -> None:
    first, second = versions
    crown(object_store, second)
    name = first.name
    assert find_version(registry, object_store, f"{name}/1", pytest.fail) == first
    assert find_version(registry, object_store, f"{name}@{CHALLENGER}", pytest.fail) == second


def test_without_a_log_the_alias_that_somebody_set_is_all_there_is(
    registry: Registry, object_store: S3Store, versions: list[ModelRef]
) -> None:
    first, _ = versions
    with pytest.raises(RegistryError, match="with alias 'champion'"):
        find_version(registry, object_store, first.name, pytest.fail)
    registry.set_alias(first.name, CHAMPION, first.version)
    assert find_version(registry, object_store, first.name, pytest.fail) == first
    log = PromotionLog(object_store, first.name)
    assert champion_of(registry, log, pytest.fail) is None, "nothing was decided"


def test_a_champion_that_is_gone_from_the_registry_is_named_with_the_way_out(
    mlflow_settings: Settings, registry: Registry, object_store: S3Store, versions: list[ModelRef]
) -> None:
    first, second = versions
    log = crown(object_store, second)
    mlflow_client(mlflow_settings).delete_model_version(log.model, str(second.version))
    registry.set_alias(log.model, CHAMPION, first.version)
    with pytest.raises(RegistryError, match=r"champion version 2 is gone .*`srgan models rollback"):
        find_version(registry, object_store, log.model, pytest.fail)
