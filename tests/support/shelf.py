"""A model of three versions: its champions and the figures it was registered with."""

from srgan.measure.evaluation import Report
from srgan.promotion.decide import promote_by_hand
from srgan.promotion.log import PromotionLog
from srgan.refs import ModelRef, to_json
from srgan.services.mlflow_models import Registry
from srgan.services.s3 import S3Store
from srgan.settings import Settings
from srgan.versions.champion import publish
from tests.support.reports import report

MODEL = "shelf-x4"


def crown(log: PromotionLog, *in_turn: ModelRef) -> None:
    """Make versions champion one after the other."""
    for version in in_turn:
        entry = promote_by_hand(log, version, log.champion(), "v1", "it is the test's")
        publish(Registry(Settings()), log, entry)


def measured(
    store: S3Store, version: ModelRef, champion: ModelRef | None, psnr: dict[str, float]
) -> Report:
    """The evaluation that `version` was registered with, put where its tag says."""
    found = report(psnr).model_copy(
        update={
            "weights": {
                "model": version.weights_digest,
                **({"champion": champion.weights_digest} if champion else {}),
            }
        }
    )
    store.put(f"runs/{version.run}/evaluations/1/report.json", to_json(found))
    return found
