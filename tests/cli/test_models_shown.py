"""`srgan models list`, `show` and `compare` on a real registry and a real object store."""

import json
from collections.abc import Callable

import pytest

from srgan.config import GateConfig
from srgan.promotion.decide import Reports, decide
from srgan.promotion.log import PromotionLog
from srgan.refs import ModelRef
from srgan.services.s3 import S3Store
from tests.support.commands import Answer
from tests.support.shelf import MODEL, crown, measured


def test_a_comparison_is_made_of_recorded_figures_with_intervals(
    models: Callable[..., Answer], versions: list[ModelRef], store: S3Store
) -> None:
    first, second, third = versions
    measured(store, second, first, {"bicubic": 28.0, "model": 28.7, "champion": 28.5})
    done = models("compare", second.uri, first.uri)
    assert done.code == 0, done.err
    (line,) = [line for line in done.out.splitlines() if "PSNR" in line]
    assert line.split() == (
        [
            "PSNR",
            "28.700",
            "dB",
            "28.500",
            "dB",
            "+0.200",
            "dB",
            "+0.200",
            "to",
            "+0.200",
            "dB",
            "clear",
        ]
    )
    assert "made of the same data, recipe, code" in done.out
    # Two evaluations on the same crops do too.
    measured(store, third, None, {"bicubic": 28.0, "model": 28.6})
    assert "−0.100 dB" in models("compare", third.uri, second.uri).out


def test_what_was_never_measured_together_is_not_compared(
    models: Callable[..., Answer], versions: list[ModelRef], store: S3Store
) -> None:
    measured(store, versions[0], None, {"bicubic": 28.0, "model": 28.5})
    done = models("compare", versions[0].uri, versions[1].uri)
    assert done.code == 1
    assert "no evaluation has measured models:/shelf-x4/1 and models:/shelf-x4/2" in done.err
    assert "evaluate-model/evaluate-model --param model=models:/shelf-x4/1" in done.err


def test_lists_say_who_is_champion_and_what_became_of_the_others(
    models: Callable[..., Answer],
    versions: list[ModelRef],
    log: PromotionLog,
    store: S3Store,
) -> None:
    first, second, third = versions
    crown(log, first)
    found = measured(store, second, first, {"bicubic": 28, "model": 28.2, "champion": 28.5})
    decide(log, second, first, Reports(found), GateConfig())
    crown(log, third)
    models("rollback", MODEL, "--reason", "x")
    lines = [line for line in models("list", MODEL).out.splitlines() if "adversarial" not in line]
    of_version = {line.split()[0]: line for line in lines if line.split()[:1] != []}
    assert "rolled back" in of_version["3"]
    assert "challenger" in of_version["3"]
    assert "refused" in of_version["2"]
    assert "champion by rollback" in of_version["1"]
    assert "29.000 dB" in of_version["1"]
    assert "tiny" in of_version["1"]
    (row,) = [line for line in models("list").out.splitlines() if line.split()[:1] == [MODEL]]
    assert row.split()[1:3] == ["1", "3"]


def test_lists_and_versions_come_as_json_too(
    models: Callable[..., Answer],
    versions: list[ModelRef],
    log: PromotionLog,
) -> None:
    first, second, _ = versions
    crown(log, first, second)
    entry = log.entries()[-1]
    (found,) = [
        m for m in json.loads(models("list", "--json").out)["models"] if m["model"] == MODEL
    ]
    assert found == {
        "model": MODEL,
        "champion": 2,
        "challenger": 3,
        "aliases": {"champion": 2, "challenger": 3},
        "last_decision": {"time": entry.time, "reason": entry.decision.reason},
    }
    listed = json.loads(models("list", MODEL, "--json").out)
    assert [each["version"] for each in listed["versions"]] == [3, 2, 1]
    done = models("show", MODEL, "--json")
    shown = json.loads(done.out)
    assert listed["versions"][1].items() <= shown.items()
    assert shown["address"] == second.uri
    assert shown["training_run"] == second.run
    assert shown["standing"].startswith("champion by hand")
    assert shown["metrics"]["model"]["psnr"] == second.metrics["model"]["psnr"]
    assert [each["number"] for each in shown["log"]] == [2, 1]
    assert "MODEL" not in done.err


def test_show_prints_lineage_figures_the_whole_log_and_deletions(
    models: Callable[..., Answer], versions: list[ModelRef], log: PromotionLog, store: S3Store
) -> None:
    crown(log, *versions[:2])
    out = models("show", MODEL).out
    assert "models:/shelf-x4/2" in out
    assert "adversarial-shelf-12" in out
    assert "Bicubic" in out
    assert out.count("by hand: it is the test's") >= 2
    assert "deleted versions" not in out
    PromotionLog(store, MODEL, by="anna@lab").note_deletion(versions[2])
    out = models("show", MODEL).out
    assert f"deleted versions of {MODEL}" in out
    assert "anna@lab" in out
    assert json.loads(models("show", MODEL, "--json").out)["deletions"][0]["version"] == 3


def test_names_that_are_none_say_what_there_is(
    models: Callable[..., Answer], versions: list[ModelRef], store: S3Store
) -> None:
    assert "no model 'shelf'; there are: " in models("list", "shelf").err
    assert MODEL in models("rollback", "shelf", "--reason", "x").err
    assert "has no model 'shelf-x4' with version 9" in models("show", f"{MODEL}/9").err


def test_a_registry_that_does_not_answer_is_named_at_once(
    models: Callable[..., Answer], store: S3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    done = models("list")
    assert done.code == 1
    assert "MLflow at http://127.0.0.1:9 does not answer" in done.err
