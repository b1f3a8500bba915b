"""`srgan models`: list, compare, promote, roll back and repair registered versions."""

from typing import Annotated

import typer

from srgan.cli.console import AsJson, Commands, print_json, say, show_tables
from srgan.cli.services import services_for
from srgan.errors import ConfigError

models_app = Commands("Versions of registered models, and which of them is champion.")

ModelArgument = Annotated[str, typer.Argument(metavar="NAME", help="A registered model")]
Reason = Annotated[
    str, typer.Option("--reason", metavar="TEXT", help="Why; kept in the promotion log")
]


@models_app.command("list")
def list_models(
    model: Annotated[
        str | None, typer.Argument(metavar="NAME", help="List the versions of this model")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List all models with their champions, or the versions of one model."""
    from srgan.cli.tables import model_json, models_table, version_json, versions_table

    with services_for(model, say=say) as services:
        if model:
            entries = services.log(model).entries()
            versions = services.registry.versions(model)
            aliases = services.registry.aliases(model)
            if as_json:
                known = [version_json(each, aliases, entries) for each in reversed(versions)]
                print_json({"model": model, "versions": known})
            else:
                show_tables(versions_table(model, versions, aliases, entries))
        else:
            rows = [
                (name, services.registry.aliases(name), services.log(name).entries())
                for name in services.registry.names()
            ]
            if as_json:
                print_json({"models": [model_json(*row) for row in rows]})
            else:
                show_tables(models_table(rows))


@models_app.command()
def show(
    address: Annotated[
        str, typer.Argument(metavar="MODEL", help="NAME (its champion), NAME@ALIAS or NAME/VERSION")
    ],
    as_json: AsJson = False,
) -> None:
    """Show where a version comes from, its figures, and the promotion log of its model."""
    from srgan.cli.tables import (
        deletions_table,
        figures_table,
        lineage_table,
        log_table,
        version_json,
    )

    with services_for(say=say) as services:
        version = services.find(address)
        log = services.log(version.name)
        entries, deletions = log.entries(), log.deletions()
        if as_json:
            aliases = services.registry.aliases(version.name)
            shown = version_json(version, aliases, entries)
            about = {"sets": version.sets, "log": entries[::-1], "deletions": deletions}
            print_json({**shown, **about})
            return
        judges = version.trained_on_judge
        tables = [lineage_table(version)]
        if version.metrics:
            where = "held-out crops, when it was registered"
            tables.append(figures_table(version.metrics, where, judges))
        for name, each in version.sets.items():
            title = f"evaluation set {name} {each.version[:12]}"
            tables.append(figures_table(each.metrics, title, judges))
        tables.append(log_table(version.name, entries))
        if deletions:
            tables.append(deletions_table(version.name, deletions))
        show_tables(*tables)


@models_app.command()
def compare(
    first: Annotated[str, typer.Argument(metavar="A", help="NAME/VERSION or NAME@ALIAS")],
    second: Annotated[str, typer.Argument(metavar="B", help="The version to compare it with")],
) -> None:
    """Compare recorded figures of two versions on the same images, with intervals."""
    from srgan.cli.tables import pairing_table, what_differs
    from srgan.promotion.pairing import find_pairings

    with services_for() as services:
        one, other = (services.find(address) for address in (first, second))
        pairings = find_pairings(services.store, one.ref, other.ref, services.settings)
        show_tables(*(pairing_table(one.ref, other.ref, pairing) for pairing in pairings))
        typer.echo(what_differs(one, other))


@models_app.command()
def promote(
    address: Annotated[
        str, typer.Argument(metavar="MODEL", help="NAME (its challenger) or NAME/VERSION")
    ],
    force: Annotated[bool, typer.Option("--force", help="Promote without asking the gate")] = False,
    reason: Reason = "",
) -> None:
    """Make a version champion if the gate agrees on recorded figures; --force skips the gate."""
    from srgan.promotion.decide import promote_by_hand, recorded_evaluation, settle
    from srgan.services.mlflow_models import challenger_address
    from srgan.versions.champion import publish

    if force != bool(reason.strip()):
        raise ConfigError(
            "a promotion by hand needs both --force and --reason TEXT; without them the gate "
            "decides"
        )
    with services_for() as services:
        challenger = services.find(challenger_address(address))
        log = services.log(challenger.name)
        before = log.champion()
        champion = services.champion(challenger.name)
        if force:
            entry = promote_by_hand(
                log, challenger.ref, before, challenger.dataset_version or "", reason.strip()
            )
        else:
            entry = settle(
                log,
                services.store,
                challenger,
                recorded_evaluation(services.store, challenger, services.settings),
                before=before,
                champion=champion,
            )
        _say(entry.decision.reason, publish(services.registry, log, entry))
        # Ask the decision, not today's log: another one may have been made meanwhile.
        if not entry.about(challenger.version).promoted:
            typer.echo(
                f"Champion: {log.champion() or 'none'}. To promote version {challenger.version} "
                "anyway, add --force --reason TEXT"
            )
            raise typer.Exit(1)


@models_app.command()
def rollback(
    model: ModelArgument,
    reason: Reason,
    to: Annotated[
        int | None, typer.Option(metavar="N", help="A former champion; default: the previous one")
    ] = None,
) -> None:
    """Go back to a former champion; the gate does not promote rolled back versions again."""
    from srgan.promotion.decide import roll_back, rollback_line
    from srgan.versions.champion import publish

    if not reason.strip():
        raise ConfigError("--reason is empty; say why, it is kept in the log")
    with services_for(model) as services:
        log = services.log(model)
        services.champion(model)  # ends a promotion that was interrupted
        line = rollback_line(log, to)
        target = services.find(f"models:/{model}/{line[-1]}")
        entry = roll_back(log, target.ref, line, target.dataset_version or "", reason.strip())
        _say(entry.decision.reason, publish(services.registry, log, entry))


@models_app.command()
def register(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="A training run, such as adversarial-1a2b…")
    ],
    model: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Which model, if the run was meant for several"),
    ] = None,
) -> None:
    """Register a run whose retraining could not, because MLflow was away; safe to repeat."""
    from srgan.promotion.lineage import read_registration
    from srgan.versions.register import register_version

    with services_for() as services:
        name, lineage = read_registration(services.store, run, model)
        version = register_version(services.settings, services.store, name, lineage)
        command = services.settings.run_command(
            "promote/promote", model=name, version=version.version
        )
        typer.echo(f"{version.uri} is {run}; the gate decides: `{command}`")


@models_app.command("import")
def import_shipped(
    shipped: Annotated[
        str, typer.Argument(metavar="shipped|shipped:sharp", help="A generator of this package")
    ],
    model: Annotated[
        str, typer.Option(metavar="NAME", help="The registered model to make a version of")
    ] = "srgan",
) -> None:
    """Register a generator that comes with srgan; a model without a champion gets it as its first.

    A second call finds the version that the first one made. Weights files of others are registered
    by `srgan import-weights FILE --register NAME`.
    """
    from srgan.versions.shipped import import_shipped as register_shipped

    with services_for(say=say) as services:
        version, entry = register_shipped(services, shipped, model)
        typer.echo(f"{version.uri} is {shipped}")
        if entry:
            typer.echo(entry.decision.reason)
        else:
            typer.echo(f"Champion stays version {services.log(model).champion()}")


@models_app.command()
def repair(
    model: Annotated[
        str | None, typer.Argument(metavar="NAME", help="One model; default: all")
    ] = None,
) -> None:
    """Set aliases to what the promotion log says, after a process died before it could."""
    from srgan.versions.champion import how_lost, lost, publish

    with services_for(model) as services:
        for name in [model] if model else services.registry.names():
            log = services.log(name)
            entries = log.entries()
            moved = publish(services.registry, log, entries[-1]) if entries else None
            if (gone := lost(services.registry, log)) is not None:
                typer.echo(how_lost(name, gone))
                continue
            typer.echo(moved or f"{name}: alias and log agree")


def _say(*lines: object) -> None:
    for line in lines:
        if line is not None:
            typer.echo(str(line))
