"""Two teams with the same names of models, on one bucket and one MLflow server."""

import pytest

from srgan.errors import RegistryError
from srgan.promotion.decide import promote_by_hand
from srgan.services import packaging
from srgan.services.mlflow_models import CHAMPION
from srgan.services.mlflow_runs import find_run, model_url, start_run
from srgan.services.s3 import S3Store, open_store
from srgan.settings import Settings
from srgan.versions.champion import publish
from srgan.versions.register import Registrar
from srgan.versions.services import Services
from tests.support.versions import LITTLE_CODE, lineage, weights

pytestmark = pytest.mark.filterwarnings("ignore::Warning:mlflow", "ignore::Warning:pydantic")

MODEL = "teams-x4"


@pytest.fixture
def teams(service_store: S3Store, monkeypatch: pytest.MonkeyPatch) -> dict[str, Settings]:
    """Settings of two teams, and of somebody without a team, by name."""
    monkeypatch.setattr(packaging, "SERVED_CORE", LITTLE_CODE)
    return {team: Settings(team=team) for team in ("anna", "ben", "")}


def open_all(teams: dict[str, Settings]) -> dict[str, Services]:
    return {team: Services(settings, print) for team, settings in teams.items()}


def test_two_teams_with_the_same_model_do_not_meet(
    teams: dict[str, Settings], service_store: S3Store
) -> None:
    made = {}
    for seed, team in enumerate(("anna", "ben"), start=701):
        registrar = Registrar(teams[team])
        made[team] = registrar.register(MODEL, weights(seed), lineage("run-1", weights(seed)))
    assert {(each.name, each.version) for each in made.values()} == {(MODEL, 1)}
    assert made["anna"].weights_digest != made["ben"].weights_digest
    services = open_all(teams)
    log = services["anna"].log(MODEL)
    publish(services["anna"].registry, log, promote_by_hand(log, made["anna"], None, "", "first"))
    assert services["anna"].champion(MODEL) == made["anna"]
    assert services["ben"].champion(MODEL) is None
    assert services["ben"].registry.alias(MODEL, CHAMPION) is None
    assert [each.key for each in service_store.list("")] == [
        f"teams/anna/promotions/{MODEL}/000001.json"
    ]
    for team in ("anna", "ben"):
        registry = services[team].registry
        assert registry.names() == [MODEL]
        assert [each.ref for each in registry.all_versions()] == [made[team]]
        assert registry.of_weights(made[team].weights_digest) == made[team]
        assert f"/#/models/{team}~{MODEL}/versions/1" in model_url(teams[team], MODEL, 1)
    assert services["ben"].registry.of_weights(made["anna"].weights_digest) is None
    assert MODEL not in services[""].registry.names()
    assert services[""].registry.of_weights(made["anna"].weights_digest) is None
    with pytest.raises(RegistryError, match=f"no model '{MODEL}'"):
        services[""].registry.resolve(f"models:/{MODEL}/1")
    services["ben"].registry.delete(made["ben"])
    assert services["ben"].registry.versions(MODEL) == []
    assert [each.ref for each in services["anna"].registry.versions(MODEL)] == [made["anna"]]


def test_two_teams_have_runs_of_the_same_key_in_experiments_of_their_own(
    teams: dict[str, Settings],
) -> None:
    def start(team: str) -> str:
        return start_run(teams[team], name="n", key="the same", parent=None, params={})

    anna, ben = start("anna"), start("ben")
    assert anna != ben
    assert (find_run(teams["anna"], "the same"), find_run(teams["ben"], "the same")) == (anna, ben)
    assert find_run(teams[""], "the same") is None


def test_the_store_of_a_team_has_the_same_keys_below_its_own_prefix(
    teams: dict[str, Settings], service_store: S3Store
) -> None:
    anna, ben = open_store(teams["anna"]), open_store(teams["ben"])
    token = anna.put("runs/r/spec.json", b"hers", metadata={"colour": "red"}, if_absent=True)
    ben.put("runs/r/spec.json", b"his", if_absent=True)
    assert service_store.get("teams/anna/runs/r/spec.json") == b"hers"
    assert (anna.get("runs/r/spec.json"), anna.find("runs/r/other")) == (b"hers", None)
    assert anna.beginning("runs/r/spec.json", 2) == b"he"
    assert anna.metadata("runs/r/spec.json") == {"colour": "red"}
    (info,) = anna.list("runs/")
    assert (info.key, info.token) == ("runs/r/spec.json", token)
    assert anna.head("runs/r/spec.json") == info
    assert anna.uri("runs/r") == f"s3://{anna.bucket}/teams/anna/runs/r"
    anna.put("runs/r/spec.json", b"hers again", if_token=token)
    anna.delete("runs/r/spec.json")
    assert list(anna.list("")) == []
    assert ben.get("runs/r/spec.json") == b"his"


def test_photos_of_a_user_are_read_by_their_whole_address(
    teams: dict[str, Settings], service_store: S3Store
) -> None:
    service_store.put("raw/shared.png", b"photo")
    assert open_store(teams["anna"], service_store.bucket).get("raw/shared.png") == b"photo"
