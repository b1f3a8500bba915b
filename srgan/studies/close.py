"""The end of a study: nobody can rate any more, and the gate hears what people said."""

from collections.abc import Iterator
from datetime import UTC, datetime

from srgan.keys import study_end_key
from srgan.mos.ratings import Rating
from srgan.promotion.opinions import keep_study, read_studies
from srgan.storage import ObjectStore, write_document
from srgan.studies.database import Database
from srgan.studies.design import Closed, StudyDesign, find_end
from srgan.studies.parts import Part, export_parts, judgements_of, read_parts


def close_study(store: ObjectStore, design: StudyDesign, database: Database) -> Closed:
    """Refuse further answers, export the last ones and write the end of the study down."""
    database.close_study()
    export_parts(store, design.name, database)
    if (end := find_end(store, design.name)) is not None:
        return end
    parts = [part for part in _parts(store, design, database) if part.judgements]
    end = Closed(
        closed_at=datetime.now(UTC).isoformat(timespec="seconds"),
        num_raters=len(parts),
        num_judgements=sum(len(part.judgements) for part in parts),
    )
    write_document(store, study_end_key(design.name), end)
    return end


def hand_to_gates(store: ObjectStore, design: StudyDesign) -> Iterator[str]:
    """Keep a closed study's ratings with each model whose versions were rated, once; yield keys.

    There a version of the model has its number as method; all others keep their names. Pair
    comparisons are not for the gate, whose rule is about scores.
    """
    source = f"study {design.name}"
    judgements = judgements_of(design, read_parts(store, design.name))
    ratings = [each for each in judgements if isinstance(each, Rating)]
    for model in design.models if ratings else []:
        kept = [key for key, each in read_studies(store, model).items() if each.source == source]
        if kept:  # somebody may have withdrawn since; the same raters must not count twice
            yield kept[0]
            continue
        numbers = {
            each.name: str(each.version.version)
            for each in design.methods
            if each.version and each.version.name == model
        }
        renamed = (
            each.model_copy(update={"method": numbers.get(each.method, each.method)})
            for each in ratings
        )
        yield keep_study(store, model, source, renamed)


def _parts(store: ObjectStore, design: StudyDesign, database: Database) -> list[Part]:
    """Parts of this machine as they are now, and those that other machines have exported."""
    own = {part.rater: part for part, _ in database.parts()}
    others = (part for part in read_parts(store, design.name) if part.rater not in own)
    return sorted([*own.values(), *others], key=lambda each: (each.number, each.rater))
