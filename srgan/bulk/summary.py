"""The end of a bulk run: add up its batches, and check that enough images were upscaled."""

import time
from collections.abc import Mapping

from srgan.bulk.plan import BulkPlan
from srgan.bulk.records import Tally
from srgan.bulk.run import BulkRun
from srgan.errors import ClusterError, DataError, SrganError
from srgan.keys import summary_key
from srgan.refs import Ref, UpscaleReport, to_json

_MAX_SHOWN = 3


class Summary(Ref):
    """Counts over all images of a run, as stored in its ``summary.json``."""

    run: str
    source: str
    destination: str
    model: str
    """MLflow address of the model version that made every output of this run."""
    counts: Tally
    num_keys: int
    """All photos: the sum of done, skipped and failed ones; not what was passed over."""
    lost_batches: dict[int, str]
    """Batches that no worker finished, with the reason; their keys count as failed."""
    seconds: float
    """Wall time since the run was planned."""
    megapixels_per_s: float
    """Output megapixels per second of wall time, waiting and start-up included."""

    @property
    def num_failed_share(self) -> float:
        """Failed keys divided by all keys."""
        return self.counts.num_failed / max(self.num_keys, 1)


def summarise(plan: BulkPlan, finished: Mapping[int, Tally], lost: Mapping[int, str]) -> Summary:
    """Add up a run's batches: `finished` ones, and reasons of `lost` ones, by batch number."""
    before = plan.passed_over + plan.refused + Tally(num_skipped=plan.num_covered)
    counts = sum(finished.values(), before)
    looked_at = counts.num_passed_over - plan.passed_over.num_passed_over
    num_keys = plan.num_covered + plan.num_todo + plan.refused.num_failed - looked_at
    missing = num_keys - counts.num_done - counts.num_skipped - counts.num_failed
    if missing:
        counts += Tally(num_failed=missing, reasons={"batch_lost": missing})
    seconds = max(time.time() - plan.created_at, 1e-3)
    return Summary(
        run=plan.run,
        source=plan.source,
        destination=plan.destination,
        model=plan.model.uri,
        counts=counts,
        num_keys=num_keys,
        lost_batches=dict(lost),
        seconds=seconds,
        megapixels_per_s=counts.output_megapixels / seconds,
    )


def write_summary(run: BulkRun, summary: Summary) -> UpscaleReport:
    """Store ``summary.json`` and return the result of the flow."""
    key = summary_key(run.destination.address, run.name)
    run.destination.store.put(key, to_json(summary), content_type="application/json")
    return UpscaleReport(
        destination=summary.destination,
        model=summary.model,
        num_done=summary.counts.num_done,
        num_skipped=summary.counts.num_skipped,
        num_failed=summary.counts.num_failed,
        num_passed_over=summary.counts.num_passed_over,
        summary_key=key,
        failures=summary.counts.failures,
    )


def check(summary: Summary, failure_tolerance: float) -> None:
    """`ClusterError` when a batch was lost, `DataError` when too many images failed."""
    if summary.lost_batches:
        number, why = next(iter(summary.lost_batches.items()))
        raise _error(
            ClusterError,
            summary,
            f"{len(summary.lost_batches)} batches did not finish, the first of them (batch "
            f"{number}) for this reason: {why}\nRun the flow again: it goes on where it stopped.",
        )
    if summary.num_failed_share > failure_tolerance:
        shown = "; ".join(
            f"{key!r} ({reason})"
            for key, reason in list(summary.counts.failures.items())[:_MAX_SHOWN]
        )
        raise _error(
            DataError,
            summary,
            f"More than the tolerated share of {failure_tolerance:.1%} failed, for example "
            f"{shown}. Mend or remove these, or raise failure_tolerance, and run again.",
        )


def _error(kind: type[SrganError], summary: Summary, text: str) -> SrganError:
    counts = summary.counts
    reasons = ", ".join(f"{reason} {number}" for reason, number in sorted(counts.reasons.items()))
    return kind(
        f"{counts.num_failed} of {summary.num_keys} images failed ({reasons}), "
        f"{counts.num_done} are done, {counts.num_skipped} were already done"
        f"{others(counts)}. {text}"
    )


def others(counts: Tally) -> str:
    """Say what was passed over and name the first few: ``, 2 are not photos (a.xmp, …)``."""
    if not counts.num_passed_over:
        return ""
    names = [key.rstrip("/").rpartition("/")[2] for key in counts.passed_over[:_MAX_SHOWN]]
    more = ", …" if counts.num_passed_over > len(names) else ""
    return f", {counts.num_passed_over} are not photos ({', '.join(names)}{more})"
