"""The end of a study by itself, and the flow run that waits for it.

The design says how many raters are enough, and which flow run waits: it is suspended, so there is
no process of it. The process that closes the study resumes it. It looks for the end by itself, so
resuming it too early or twice does no harm.
"""

import logging

from srgan.errors import OrchestratorError, StorageError
from srgan.readable import Say
from srgan.settings import Settings
from srgan.storage import ObjectStore
from srgan.studies.close import close_study
from srgan.studies.database import Database
from srgan.studies.design import StudyDesign, find_end

logger = logging.getLogger(__name__)


def try_end(
    store: ObjectStore, design: StudyDesign, database: Database, settings: Settings
) -> bool:
    """Close a study that enough raters have finished, or that was closed on another machine.

    True once it is closed and nobody waits for it any more; False asks for another call. A store
    or a Prefect server that does not answer is a warning.
    """
    try:
        end = find_end(store, design.name)
        if end is None and not _is_enough(design, database):
            return False
        close_study(store, design, database)
        if end is None:
            logger.warning(
                "enough raters have judged everything, so study %s is closed", design.name
            )
        return resume_waiting(design, settings, logger.warning)
    except (StorageError, OrchestratorError) as error:
        logger.warning("the end of the study has to wait: %s", error)
        return False


def resume_waiting(design: StudyDesign, settings: Settings, say: Say) -> bool:
    """Resume the flow run that waits for a closed study; False if it is not suspended yet.

    Without PREFECT_API_URL nobody can be asked: `say` gets a line about that.
    """
    if design.flow_run is None:
        return True
    if not settings.prefect_api_url:
        say(
            f"PREFECT_API_URL is not set: resume flow run {design.flow_run}, which waits for study "
            f"{design.name}, on Prefect's page, or run `srgan mos close {design.name}` where it is"
        )
        return True
    # Prefect takes seconds to import.
    from srgan.services.prefect_runs import resume_flow_run

    return resume_flow_run(design.flow_run)


def _is_enough(design: StudyDesign, database: Database) -> bool:
    return design.enough is not None and database.num_finished() >= design.enough
