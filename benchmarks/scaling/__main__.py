"""Calculate what bulk runs and trainings cost at a scale that was not run: ``docs/scaling.md``.

    python -m benchmarks.scaling [--images 1000000] [--workers 64]

Prints a table for each question of that page. Nothing is measured here: the numbers that go in are
in `constants.py`, each with the command that measures it, its date, or the word ``assumed``.
"""

import argparse
from collections.abc import Iterable
from dataclasses import replace

from benchmarks.scaling import constants as c
from benchmarks.scaling.bulk import (
    SCALE,
    Limit,
    Requests,
    Work,
    calls_to_prefect,
    followed_per_s,
    limits,
    look_s,
    predicted_s,
    requests,
)
from benchmarks.scaling.training import Training, reduce_share, speed_up
from srgan.readable import duration

_NUM_GPUS = (1, 2, 4, 8, 16, 32, 64)
_MILLION = 10**6
_TEXTS = ("run", "made by", "what", "what moves it", "constant", "from", "date")
"""Columns that hold words."""


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=_MILLION)
    parser.add_argument("--workers", type=int, default=64)
    options = parser.parse_args()
    work = Work(options.images, options.workers)
    _show_predictions()
    _show_requests(work)
    _show_batches(work)
    _show_bytes(work)
    large = Work(10 * _MILLION)
    for title, each in (
        ("after a smaller run", large),
        ("a first run", replace(large, is_measured=False)),
        ("PNG", replace(large, output_format="png")),
        ("a quarter of the pixels", replace(large, megapixels=0.25, image_bytes=62_500)),
        ("`batch_bytes: 1GiB`", replace(large, batch_bytes=2**30)),
    ):
        _show_limits(title, each, limits(each))
    _show_all_reduce()
    _show_tracking()
    _show_constants()


def _show_predictions() -> None:
    rows = []
    for run in c.MEASURED_RUNS:
        predicted = predicted_s(run)
        error = f"{predicted / run.seconds - 1:+.1%}"
        rows.append((run.title, f"{predicted:.1f} s", f"{run.seconds:.1f} s", error))
    _table("Prediction against measurement", ("run", "predicted", "measured", "error"), rows)


def _show_requests(work: Work) -> None:
    found = requests(work)
    total = sum(found.values(), Requests())
    rows = [
        (
            name,
            *(f"{number:,.0f}" for number in (each.get, each.head, each.put, each.list)),
            f"{each.dollars:.2f}",
        )
        for name, each in {**found, "in all": total}.items()
    ]
    title = f"Requests to S3: {_words(work)}"
    _table(title, ("made by", "GET", "HEAD", "PUT", "LIST", "dollars"), rows)


def _show_batches(work: Work) -> None:
    rows = [
        ("batches", f"{work.num_batches:,}"),
        ("seconds of a batch", f"{work.image_s * work.num_images / work.num_batches:.1f}"),
        ("seconds of planning", f"{work.plan_s:,.0f}"),
        ("the same if everything is done", f"{work.num_images * c.REPEAT_S_PER_KEY:,.0f}"),
        ("seconds of work", f"{work.seconds:,.0f}"),
        ("seconds of the whole run", f"{work.whole_s:,.0f}"),
        ("seconds between two looks of the flow", f"{look_s(work):.1f}"),
        ("batches a second that end", f"{work.num_batches / work.seconds:.2f}"),
        ("batches a second that the flow can follow", f"{followed_per_s(work):.1f}"),
        ("requests to Prefect", f"{calls_to_prefect(work):,.0f}"),
        ("events to Prefect", f"{work.num_batches * c.EVENTS_PER_BATCH:,.0f}"),
    ]
    _table(f"The flow: {_words(work)}", ("what", "how much"), rows)


def _show_bytes(work: Work) -> None:
    images, batches = work.num_images, work.num_batches
    driver = c.DRIVER_BYTES + batches * c.DRIVER_BYTES_PER_BATCH
    flow = c.FLOW_BYTES + batches * c.FLOW_BYTES_PER_BATCH
    rows = [
        ("SQLite, first run (temporary)", images * c.SQLITE_BYTES_PER_KEY),
        ("SQLite, everything done (temporary)", images * c.REPEAT_SQLITE_BYTES_PER_KEY),
        ("lists of batches (S3)", images * c.LISTED_BYTES),
        ("records as Parquet (S3)", images * c.RECORD_BYTES),
        ("memory of the driver", driver),
        ("memory of the flow", flow),
    ]
    cells = [(name, f"{number / 1e6:,.0f} MB") for name, number in rows]
    _table(f"Bytes: {_words(work)}", ("what", "how much"), cells)


def _show_limits(title: str, work: Work, found: Iterable[Limit]) -> None:
    rows = [
        (
            each.name,
            _figure(each.needed),
            f"{_figure(each.there_is)} {each.unit}",
            f"{each.share:.2f}",
            each.setting,
        )
        for each in found
    ]
    columns = ("what", "needed", "there is", "share", "what moves it")
    _table(f"What breaks first, {title}: {_words(work)}", columns, rows)


def _show_all_reduce() -> None:
    for link in c.LINKS:
        counts = [number for number in _NUM_GPUS if number <= link.max_workers]
        columns = ("what", *map(str, counts))
        rows = [
            (
                f"{step.name}, {num_crops} crops each",
                *(f"{reduce_share(step, num_crops, number, link):.1%}" for number in counts),
            )
            for step in c.STEPS
            for num_crops in (16, 128)
        ]
        _table(f"Share of the all-reduce, {link.name}", columns, rows)
    (link,) = (each for each in c.LINKS if each.name == "100 Gbit/s")
    rows = [
        (
            f"{step.name}, {batch} crops in all",
            *(f"{speed_up(step, batch, number, link):.2f}" for number in _NUM_GPUS),
        )
        for step in c.STEPS
        for batch in (128, 1024)
    ]
    columns = ("what", *map(str, _NUM_GPUS))
    _table("Speed-up if one batch is shared, 100 Gbit/s", columns, rows)


def _show_tracking() -> None:
    step_s = c.STEPS[1].least_s
    rows = []
    for name, training in {
        "paper, first stage": Training(_MILLION, step_s, 100, 5000),
        "the same, `log_every: 10`": Training(_MILLION, step_s, 10, 5000),
    }.items():
        numbers = training.num_requests, training.num_figures, training.database_bytes / 1e6
        rows.append((name, *(f"{number:,.0f}" for number in numbers)))
    columns = ("what", "requests", "figures", "MB in the database")
    _table("MLflow", columns, rows)


def _show_constants() -> None:
    found = {name: each for name, each in vars(c).items() if isinstance(each, c.Constant)}
    found |= {f"ENCODED_MP_PER_S {name}": each for name, each in c.ENCODED_MP_PER_S.items()}
    for link in c.LINKS:
        found |= {f"{link.name}: bytes a second": link.bytes_per_s}
        found |= {f"{link.name}: latency": link.latency_s}
    for step in c.STEPS:
        found |= {f"{step.name}: a crop": step.crop_s, f"{step.name}: least": step.least_s}
    rows = [(name, f"{each:.4g}", each.origin, each.date) for name, each in found.items()]
    _table("What goes in", ("constant", "value", "from", "date"), rows)


def _words(work: Work) -> str:
    return (
        f"{work.num_images:,} images of {work.image_bytes / 1e3:.0f} kB, "
        f"{work.num_workers} workers, {SCALE**2 * work.num_images * work.megapixels / 1e6:,.0f} "
        f"output terapixels, {duration(work.seconds)}"
    )


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _table(title: str, columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> None:
    print(f"\n{title}\n")
    print("| " + " | ".join(columns) + " |")
    print("|" + "|".join("---" if name in _TEXTS else "---:" for name in columns) + "|")
    for row in rows:
        print("| " + " | ".join(row) + " |")


if __name__ == "__main__":
    main()
