"""Tables of model versions and decisions for the terminal."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from srgan.cli.console import empty_table
from srgan.measure.figures import (
    figure_head,
    figure_text,
    in_order,
    interval_text,
    means_table,
)
from srgan.promotion.lineage import what_changed
from srgan.promotion.log import Deletion, Entry, concerns, promoted_weights
from srgan.refs import ModelRef
from srgan.services.mlflow_models import CHALLENGER, CHAMPION

if TYPE_CHECKING:
    from rich.table import Table

    from srgan.measure.blends import Curve
    from srgan.measure.intervals import Interval
    from srgan.promotion.pairing import Pairing
    from srgan.promotion.record import VersionRecord

_DIGITS = 12


def models_table(
    models: Sequence[tuple[str, Mapping[str, int], Sequence[Entry]]],
) -> "Table":
    """List models with champion, challenger and last decision.

    Takes name, aliases and log of each model.
    """
    table = empty_table("model", "champion", "challenger", "last decision", "", title=None)
    for name, aliases, entries in models:
        last = entries[-1] if entries else None
        champion = last.champion if last else None
        shown = str(champion or "–")
        if last and aliases.get(CHAMPION) != champion:
            shown += f" (alias {aliases.get(CHAMPION, 'missing')}: srgan models repair {name})"
        when, what = (last.time[:10], last.decision.reason) if last else ("", "")
        table.add_row(name, shown, str(aliases.get(CHALLENGER, "–")), when, what)
    return table


def versions_table(
    model: str,
    versions: Sequence["VersionRecord"],
    aliases: Mapping[str, int],
    entries: Sequence[Entry],
) -> "Table":
    """List versions of one model, the newest first, with figures from when they were registered."""
    metrics = {each.version: each.metrics.get("model", {}) for each in versions}
    figures = in_order(name for each in metrics.values() for name in each)
    table = empty_table(
        *("version", "alias", "registered", "recipe", "dataset"),
        *map(figure_head, figures),
        "standing",
        title=model,
    )
    for each in reversed(versions):
        number, judges = each.version, each.trained_on_judge
        dataset = f"{each.dataset_name or '–'} {(each.dataset_version or '')[:_DIGITS]}"
        table.add_row(
            str(number),
            ", ".join(sorted(name for name, version in aliases.items() if version == number)),
            f"{each.created:%Y-%m-%d %H:%M}",
            each.recipe_name or "–",
            dataset.rstrip(),
            *(
                figure_text(name, metrics[number].get(name), taught="model" in judges.get(name, ()))
                for name in figures
            ),
            standing_of(each, entries),
        )
    table.caption = "figures compare within one dataset version only; see srgan models compare"
    return table


def model_json(name: str, aliases: Mapping[str, int], entries: Sequence[Entry]) -> dict[str, Any]:
    """Champion, challenger and last decision of a model, for programs."""
    last = entries[-1] if entries else None
    return {
        "model": name,
        "champion": last.champion if last else None,
        "challenger": aliases.get(CHALLENGER),
        "aliases": aliases,
        "last_decision": last and {"time": last.time, "reason": last.decision.reason},
    }


def version_json(
    version: "VersionRecord", aliases: Mapping[str, int], entries: Sequence[Entry]
) -> dict[str, Any]:
    """Lineage, figures and standing of a version, for programs; what is not recorded is null."""
    return {
        "model": version.name,
        "version": version.version,
        "address": version.uri,
        "aliases": sorted(name for name, number in aliases.items() if number == version.version),
        "registered": version.created,
        "standing": standing_of(version, entries),
        "metrics": version.metrics,
        **{name.replace(" ", "_"): value for name, value in _lineage(version).items()},
    }


def standing_of(version: "VersionRecord", entries: Sequence[Entry]) -> str:
    """Return the last decision about a version, in a few words."""
    for entry in reversed(entries):
        if not concerns(entries, entry, version):
            continue
        day = entry.time[:10]
        if entry.decision.challenger != version.version:
            return f"rolled back, {day}"
        if not entry.decision.promoted:
            return f"refused, {day}"
        how = "by hand" if entry.hand else "by the gate"
        if entry.hand and entry.hand.rolled_back:
            how = "by rollback"
        stays = entry.champion == entries[-1].champion
        stays = stays and promoted_weights(entries, version.version) == version.weights_digest
        return f"champion {how}, {day}" + ("" if stays else "; replaced")
    return "not judged"


def lineage_table(version: "VersionRecord") -> "Table":
    """Show the record of a version: what it was made of."""
    rows = {"alias": ", ".join(sorted(version.aliases or ())) or "–", **_lineage(version)}
    table = empty_table("", "", title=version.uri)
    table.show_header = False
    for title, value in rows.items():
        if value is not None:
            table.add_row(title, value)
    return table


def _lineage(version: "VersionRecord") -> dict[str, str | None]:
    return {
        "training run": version.run,
        "pretrained run": version.pretrained_run,
        "recipe": version.recipe_name,
        "dataset": version.dataset_name,
        "dataset version": version.dataset_version,
        "code": version.numerics_version,
        "release": version.release_version,
        "imported from": version.source_file,
        "format": version.source_format,
        "blended of": str(version.blend) if version.blend else None,
        "weights": version.weights_digest,
        "decision": version.decision,
        "rollback": version.rollback,
        "opinion": version.opinion,
    }


def blends_table(curve: "Curve", title: str) -> "Table":
    """Show mean figures of blends by their alpha, below those of bicubic."""
    rows = {"bicubic": curve.bicubic, **{f"{a:g}": each for a, each in curve.blends.items()}}
    figures = in_order(curve.bicubic.flat)
    table = empty_table("alpha", *map(figure_head, figures), title=title)
    for name, found in rows.items():
        table.add_row(name, *(figure_text(each, found.flat[each]) for each in figures))
    return table


def figures_table(
    metrics: Mapping[str, Mapping[str, float]],
    title: str,
    trained_on_judge: Mapping[str, Sequence[str]],
) -> "Table":
    """Show means of an evaluation by contestant, and who was trained on a distance's network."""
    means = means_table(metrics, trained_on_judge)
    table = empty_table(*means.heads, title=title)
    for row in means.rows:
        table.add_row(*row)
    return table


def log_table(model: str, entries: Sequence[Entry]) -> "Table":
    """List all decisions about a model, the newest first."""
    table = empty_table(
        "no.", "time (UTC)", "by", "champion after", "what", title=f"log of {model}"
    )
    for entry in reversed(entries):
        table.add_row(
            str(entry.number),
            entry.time[:16].replace("T", " "),
            f"{'hand' if entry.hand else 'gate'}{', ' if entry.by else ''}{entry.by}",
            str(entry.champion or "–"),
            entry.decision.reason,
        )
    return table


def deletions_table(model: str, deletions: Sequence[Deletion]) -> "Table":
    """List the versions of a model that were deleted."""
    table = empty_table("version", "time (UTC)", "by", "run", title=f"deleted versions of {model}")
    for each in deletions:
        table.add_row(str(each.version), each.time[:16].replace("T", " "), each.by, each.run)
    return table


def pairing_table(first: ModelRef, second: ModelRef, pairing: "Pairing") -> "Table":
    """Compare figures of two versions on the same images, with their difference."""
    title = f"{pairing.where}, {len(pairing.first.report.images)} images"
    table = empty_table("", first.uri, second.uri, "difference", "95 % interval", "", title=title)
    for name in pairing.figures:
        one, other = pairing.means(name)
        taught, other_taught = pairing.taught(name)
        found = pairing.difference(name)
        table.add_row(
            figure_head(name),
            figure_text(name, one, taught=taught),
            figure_text(name, other, taught=other_taught),
            figure_text(name, one - other, signed=True),
            interval_text(name, found),
            _clearness(found) if pairing.decides(name) else "does not decide",
        )
    if not pairing.same_code:
        table.caption = "measured by two versions of the code, which can explain small differences"
    return table


def what_differs(first: "VersionRecord", second: "VersionRecord") -> str:
    """Say which inputs of two versions differ."""
    found = what_changed(first.inputs, second.inputs)
    return f"they differ in {', '.join(found)}" if found else "made of the same data, recipe, code"


def _clearness(found: "Interval | None") -> str:
    return "clear" if found and (found.high < 0 or found.low > 0) else "not clear"
