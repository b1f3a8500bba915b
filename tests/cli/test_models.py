"""`srgan models promote`, `rollback` and `repair` on a real registry and a real object store."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest

from srgan.cli.models import promote
from srgan.errors import ConflictError
from srgan.promotion.decide import promote_by_hand
from srgan.promotion.log import PromotionLog
from srgan.refs import ModelRef
from srgan.services.mlflow_models import CHAMPION, Registry
from srgan.services.mlflow_runs import mlflow_client
from srgan.services.s3 import S3Store
from srgan.settings import Settings
from srgan.versions.champion import champion_of, publish
from srgan.versions.register import Registrar
from tests.support.commands import Answer
from tests.support.shelf import MODEL, crown, measured
from tests.support.versions import lineage, weights

pytestmark = pytest.mark.filterwarnings("ignore::Warning:mlflow", "ignore::Warning:pydantic")


def alias() -> int | None:
    return Registry(Settings()).alias(MODEL, CHAMPION)


def overtake(
    monkeypatch: pytest.MonkeyPatch,
    *,
    before: Callable[[], None] = lambda: None,
    after: Callable[[], None] = lambda: None,
) -> None:
    """Have somebody else act just before or after the next decision is written."""
    write = PromotionLog.append

    def overtaken(self: PromotionLog, *arguments: object, **options: object) -> object:
        monkeypatch.setattr(PromotionLog, "append", write)
        before()
        entry = write(self, *arguments, **options)  # type: ignore[arg-type]  # passed on
        after()
        return entry

    monkeypatch.setattr(PromotionLog, "append", overtaken)


def test_a_promotion_by_recorded_figures_makes_champion_alias_and_history(
    models: Callable[..., Answer],
    versions: list[ModelRef],
    log: PromotionLog,
    store: S3Store,
) -> None:
    first, second, _ = versions
    measured(store, first, None, {"bicubic": 28.0, "model": 28.5})
    done = models("promote", first.uri)
    assert done.code == 0, done.err
    assert "Version 1 becomes the first champion: PSNR 28.500 dB is higher" in done.out
    measured(store, second, first, {"bicubic": 28.0, "model": 28.7, "champion": 28.5})
    done = models("promote", f"{MODEL}/2")
    assert "alias champion of shelf-x4: version 1 → version 2, as the log says" in done.out
    assert (log.champion(), alias()) == (2, 2)
    assert [entry.hand for entry in log.entries()] == [None, None]


def test_what_the_gate_refuses_takes_force_and_a_reason_and_the_log_keeps_both(
    models: Callable[..., Answer],
    versions: list[ModelRef],
    log: PromotionLog,
    store: S3Store,
) -> None:
    first, second, _ = versions
    crown(log, first)
    measured(store, second, first, {"bicubic": 28.0, "model": 28.2, "champion": 28.5})
    done = models("promote", second.uri)
    assert done.code == 1
    assert (
        "Version 2 is refused: PSNR 28.200 dB is clearly lower than champion version 1's"
        in done.out
    )
    assert "--force --reason TEXT" in done.out
    assert (log.champion(), alias()) == (1, 1)
    for half in (["--force"], ["--reason", "it looks better"]):
        assert "needs both --force and --reason" in models("promote", second.uri, *half).err
    assert len(log.entries()) == 2
    done = models("promote", second.uri, "--force", "--reason", "it looks better")
    assert done.code == 0, done.err
    entry = log.entries()[-1]
    assert entry.hand is not None
    assert entry.hand.why == "it looks better"
    assert entry.by == Settings().who
    assert entry.decision.reason.startswith(
        "Version 2 replaces champion version 1 by hand: it looks better. The gate had said: "
        "Version 2 is refused"
    )
    assert (log.champion(), alias()) == (2, 2)
    assert Registry(Settings()).record(second).decision == entry.decision.reason


def test_without_a_fitting_evaluation_the_flow_that_measures_is_named(
    models: Callable[..., Answer],
    versions: list[ModelRef],
    log: PromotionLog,
    store: S3Store,
) -> None:
    first, second, third = versions
    crown(log, first)
    measured(store, third, second, {"bicubic": 28.0, "model": 29.0, "champion": 28.5})
    done = models("promote", third.uri)
    assert done.code == 2
    assert "no recorded evaluation compares models:/shelf-x4/3 with champion version 1" in done.err
    assert "promote/promote --param model=shelf-x4 --param version=3" in done.err
    assert log.champion() == 1


def test_a_rollback_goes_back_one_champion_at_a_time_and_keeps_the_history(
    models: Callable[..., Answer], versions: list[ModelRef], log: PromotionLog
) -> None:
    crown(log, *versions)
    done = models("rollback", MODEL, "--reason", "halos around leaves")
    assert done.code == 0, done.err
    assert "Back to version 2 from champion version 3: halos around leaves." in done.out
    assert "version 3 → version 2" in done.out
    assert (log.champion(), alias()) == (2, 2)
    assert models("rollback", MODEL, "--reason", "these too").code == 0
    assert (log.champion(), alias()) == (1, 1)
    done = models("rollback", MODEL, "--reason", "all of them")
    assert (done.code, "version 1 is the only champion it had" in done.err) == (2, True)
    assert [entry.champion for entry in log.entries()] == [1, 2, 3, 2, 1]
    assert "these too" in Registry(Settings()).record(versions[1]).rollback


def test_a_rollback_can_name_a_former_champion_and_nothing_else(
    models: Callable[..., Answer], versions: list[ModelRef], log: PromotionLog
) -> None:
    first, second, third = versions
    crown(log, first, third)
    done = models("rollback", MODEL, "--to", "2", "--reason", "x")
    assert done.code == 2
    assert "a rollback goes to a former champion (1)" in done.err
    crown(log, second)
    assert models("rollback", MODEL, "--to", "1", "--reason", "x").code == 0
    last = log.entries()[-1]
    assert last.hand is not None
    assert last.hand.rolled_back == (2, 3)
    assert alias() == 1


def test_what_was_rolled_back_is_not_promoted_by_the_gate_again(
    models: Callable[..., Answer],
    versions: list[ModelRef],
    log: PromotionLog,
    store: S3Store,
) -> None:
    first, second, _ = versions
    crown(log, first, second)
    models("rollback", MODEL, "--reason", "halos")
    measured(store, second, first, {"bicubic": 28.0, "model": 29.0, "champion": 28.5})
    done = models("promote", second.uri)
    assert done.code == 1
    assert "Back to version 1 from champion version 2: halos." in done.out
    assert log.champion() == 1
    assert models("promote", second.uri, "--force", "--reason", "halos are gone").code == 0
    assert log.champion() == 2


def test_an_alias_that_was_left_behind_is_shown_and_repaired(
    models: Callable[..., Answer], versions: list[ModelRef], log: PromotionLog
) -> None:
    crown(log, *versions[:2])
    Registry(Settings()).set_alias(MODEL, CHAMPION, 1)
    assert "2 (alias 1: srgan models repair shelf-x4)" in models("list").out
    assert alias() == 1, "a list only reads"
    assert "version 1 → version 2, as the log says" in models("repair", MODEL).out
    assert alias() == 2
    assert models("repair", MODEL).out == "shelf-x4: alias and log agree\n"


def test_the_next_promotion_repairs_an_alias_too(
    models: Callable[..., Answer], versions: list[ModelRef], log: PromotionLog
) -> None:
    crown(log, *versions[:2])
    Registry(Settings()).set_alias(MODEL, CHAMPION, 1)
    done = models("rollback", MODEL, "--reason", "x")
    assert "version 1 → version 2" in done.out
    assert "version 2 → version 1" in done.out
    assert alias() == 1


def test_a_champion_that_was_deleted_in_the_registry_is_said_and_a_rollback_goes_on_without_it(
    models: Callable[..., Answer], store: S3Store
) -> None:
    registry, log = Registrar(Settings()), PromotionLog(store, "gone-x4")
    first, second = (
        registry.register(
            log.model, weights(seed), lineage(f"adversarial-gone-{seed}", weights(seed))
        )
        for seed in (14, 15)
    )
    crown(log, first, second)
    mlflow_client(Settings()).delete_model_version(log.model, str(second.version))
    assert "champion version 2 is gone from the registry" in models("repair", log.model).out
    assert champion_of(registry, log, print) is None
    models("rollback", log.model, "--reason", "deleted")
    assert (log.champion(), registry.alias(log.model, CHAMPION)) == (1, 1)


def test_a_model_that_was_deleted_and_registered_again_inherits_no_decision(
    models: Callable[..., Answer], store: S3Store
) -> None:
    registrar, log = Registrar(Settings()), PromotionLog(store, "again-x4")
    first = registrar.register(log.model, weights(16), lineage("adversarial-a", weights(16)))
    crown(log, first)
    mlflow_client(Settings()).delete_registered_model(log.model)
    second = registrar.register(log.model, weights(17), lineage("adversarial-b", weights(17)))
    assert second.version == first.version
    assert "not judged" in models("list", log.model).out
    said = models("repair", log.model).out
    assert "other weights have its number" in said
    assert registrar.record(second).decision is None, "that decision was about other weights"
    done = models("rollback", log.model, "--reason", "lost")
    assert "the only champion it had; `srgan models promote again-x4/N --force" in done.err
    measured(store, second, None, {"bicubic": 28.0, "model": 27.0})
    done = models("promote", f"{log.model}/1")
    assert done.code == 1, "a refusal of version 1 is a refusal, though version 1 is champion"
    done = models("promote", f"{log.model}/1", "--force", "--reason", "the database was lost")
    assert done.code == 0, done.err
    assert champion_of(registrar, log, print) == second
    assert f"champion by hand, {log.entries()[-1].time[:10]} " in models("list", log.model).out


def test_repair_completes_what_a_version_says_of_its_decision(
    models: Callable[..., Answer], versions: list[ModelRef], log: PromotionLog
) -> None:
    crown(log, versions[0])
    entry = promote_by_hand(log, versions[1], 1, "v1", "and then the process died")
    assert "version 1 → version 2" in models("repair", MODEL).out
    assert Registry(Settings()).record(versions[1]).decision == entry.decision.reason


def test_a_slow_writer_does_not_leave_the_alias_behind(
    versions: list[ModelRef], log: PromotionLog
) -> None:
    class Slow(Registry):
        """Another promotion is decided and published just before this one's alias is set."""

        raced = False

        def set_alias(self, name: str, alias: str, version: int) -> None:
            if not self.raced:
                self.raced = True
                crown(log, versions[2])
            super().set_alias(name, alias, version)

    crown(log, versions[0])
    entry = promote_by_hand(log, versions[1], 1, "v1", "slow")
    publish(Slow(Settings()), log, entry)
    assert (log.champion(), alias()) == (3, 3)


def test_of_two_decisions_on_the_same_champion_one_wins_and_the_other_is_told(
    models: Callable[..., Answer],
    versions: list[ModelRef],
    log: PromotionLog,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, second, third = versions
    crown(log, first)
    overtake(monkeypatch, before=lambda: crown(log, third))
    done = models("promote", second.uri, "--force", "--reason", "me first")
    assert done.code == 1
    assert "somebody else decided at the same moment, and nothing was changed here" in done.err
    assert "champion of shelf-x4 is version 3 by now, not 1" in done.err
    assert [entry.champion for entry in log.entries()] == [1, 3]
    assert alias() == 3


def test_a_promotion_that_was_overtaken_after_it_was_written_succeeded(
    models: Callable[..., Answer],
    versions: list[ModelRef],
    log: PromotionLog,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, second, third = versions
    crown(log, first)
    overtake(monkeypatch, after=lambda: crown(log, third))
    done = models("promote", second.uri, "--force", "--reason", "me first")
    assert done.code == 0, done.out
    assert [entry.champion for entry in log.entries()] == [1, 2, 3]
    assert alias() == 3


def test_promotions_at_once_leave_a_whole_history(
    versions: list[ModelRef], log: PromotionLog
) -> None:
    crown(log, versions[0])

    def promoted(version: ModelRef) -> bool:
        try:
            promote(version.uri, force=True, reason="at once")
        except ConflictError:
            return False
        return True

    with ThreadPoolExecutor(2) as threads:
        won = list(threads.map(promoted, versions[1:]))
    entries = log.entries()
    assert [entry.number for entry in entries] == list(range(1, len(entries) + 1))
    assert won.count(True) == len(entries) - 1 >= 1
    for before, after in pairwise(entries):
        assert after.decision.champion_before == before.champion
    assert alias() == entries[-1].champion
