"""What a retraining starts from: random weights, or the champion's."""

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from flows.support.tasks import PATIENTLY
from srgan.config import Recipe
from srgan.refs import CheckpointRef, ModelRef
from srgan.services.mlflow_models import Registry
from srgan.services.s3 import open_store
from srgan.settings import Settings
from srgan.train.starting import publish_start


@task(**PATIENTLY, cache_policy=NO_CACHE)
def find_start(recipe: Recipe, champion: ModelRef | None) -> CheckpointRef | None:
    """The champion's weights as a checkpoint, where the recipe fine-tunes and there is one.

    None: from scratch. `CheckpointError` where the champion is another network than the recipe's.
    """
    if recipe.retrain.start == "scratch":
        return None
    logger = get_run_logger()
    if champion is None:
        logger.info("There is no champion to fine-tune: training from scratch")
        return None
    settings = Settings()
    weights = Registry(settings).load_generator_bytes(champion)
    start = publish_start(open_store(settings), champion, weights, recipe.pretrain.generator)
    logger.info("Fine-tuning %s, whose weights are runs/%s", champion.uri, start.run)
    return start
