"""`srgan models`: what is registered, who is champion, and the way forward and back."""

from typing import TYPE_CHECKING, Annotated

import typer

from srgan.cli_services import Services, services_for
from srgan.errors import ConfigError

if TYPE_CHECKING:
    from srgan.evaluate.promotions import Entry
    from srgan.refs import ModelRef

models_app = typer.Typer(
    help="Versions of registered models, and which one is champion.", no_args_is_help=True
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="A registered model")]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Kept in the log")]


@models_app.command("list")
def list_models(
    model: Annotated[
        str | None, typer.Argument(metavar="NAME", help="One model: its versions")
    ] = None,
) -> None:
    """All models with their champions, or the versions of one."""
    from srgan.cli_tables import models_table, show_tables, versions_table

    with services_for(model) as services:
        if model:
            entries = services.log(model).entries()
            versions = services.registry.versions(model)
            aliases = services.registry.aliases(model)
            show_tables(versions_table(model, versions, aliases, entries))
        else:
            rows = [
                (name, services.registry.aliases(name), services.log(name).entries())
                for name in services.registry.names()
            ]
            show_tables(models_table(rows))


@models_app.command()
def show(
    address: Annotated[
        str, typer.Argument(metavar="MODEL", help="NAME (its champion), NAME@ALIAS or NAME/VERSION")
    ],
) -> None:
    """Where a version comes from, its figures, and the promotion log of its model."""
    from srgan.cli_tables import figures_table, lineage_table, log_table, show_tables
    from srgan.evaluate.lineage import recorded_judges, recorded_sets

    with services_for() as services:
        version = services.registry.resolve(address)
        tags = services.registry.tags(version)
        aliases = services.registry.aliases(version.name)
        entries = services.log(version.name).entries()
        judges = recorded_judges(tags)
        tables = [lineage_table(version, tags, aliases)]
        if version.metrics:
            where = "held-out crops, when it was registered"
            tables.append(figures_table(version.metrics, where, judges))
        for name, each in recorded_sets(tags).items():
            title = f"evaluation set {name} {each.version[:12]}"
            tables.append(figures_table(each.metrics, title, judges))
        show_tables(*tables, log_table(version.name, entries))


@models_app.command()
def compare(
    first: Annotated[str, typer.Argument(metavar="A", help="NAME/VERSION or NAME@ALIAS")],
    second: Annotated[str, typer.Argument(metavar="B", help="The version to hold it against")],
) -> None:
    """Two versions by recorded figures on the same images, with intervals; measures nothing."""
    from srgan.cli_tables import pairing_table, show_tables, what_differs
    from srgan.evaluate.pairing import find_pairings

    with services_for() as services:
        one, other = (services.registry.resolve(address) for address in (first, second))
        pairings = find_pairings(services.store, one, other)
        show_tables(*(pairing_table(one, other, pairing) for pairing in pairings))
        typer.echo(what_differs(services.registry.tags(one), services.registry.tags(other)))


@models_app.command()
def promote(
    address: Annotated[
        str, typer.Argument(metavar="MODEL", help="NAME (its challenger) or NAME/VERSION")
    ],
    force: Annotated[bool, typer.Option("--force", help="Against the gate, or without it")] = False,
    reason: Reason = "",
) -> None:
    """Make a version champion: by the gate and recorded figures, or by hand with a reason."""
    from srgan.adapters.champion import current_champion, publish
    from srgan.evaluate.decision import promote_by_hand

    if force != bool(reason.strip()):
        raise ConfigError(
            "a promotion by hand takes both, --force and --reason TEXT; without them the gate "
            "decides"
        )
    with services_for() as services:
        challenger = _challenger(services, address)
        log = services.log(challenger.name)
        # First: who becomes champion after this is a conflict, not a champion that is gone.
        before = log.champion()
        champion, moved = current_champion(services.registry, log)
        before = champion.version if champion else before
        _say(moved)
        if force:
            tags = services.registry.tags(challenger)
            entry = promote_by_hand(
                log, challenger, before, tags.get("dataset_version", ""), reason.strip()
            )
        else:
            entry = _ask_the_gate(services, challenger, champion, before)
        _say(entry.decision.reason, publish(services.registry, log, entry))
        # By the decision, not by today's champion: the next one may have been made meanwhile.
        if entry.champion != challenger.version:
            typer.echo(
                f"Champion stays version {log.champion()}. To promote it all the same: "
                "--force --reason TEXT"
            )
            raise typer.Exit(1)


@models_app.command()
def rollback(
    model: Name,
    reason: Reason,
    to: Annotated[
        int | None, typer.Option(metavar="N", help="A former champion; default: the last one")
    ] = None,
) -> None:
    """Go back to the previous champion; the gate does not promote what was left again."""
    from srgan.adapters.champion import current_champion, publish
    from srgan.evaluate.decision import line_of_return, roll_back

    if not reason.strip():
        raise ConfigError("--reason is empty; say why, it is kept in the log")
    with services_for(model) as services:
        log = services.log(model)
        _say(current_champion(services.registry, log)[1])
        line = line_of_return(log, to)
        target = services.registry.resolve(f"models:/{model}/{line[-1]}")
        tags = services.registry.tags(target)
        entry = roll_back(log, target, line, tags.get("dataset_version", ""), reason.strip())
        _say(entry.decision.reason, publish(services.registry, log, entry))


@models_app.command()
def register(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A training run, as adversarial-1a2b…")],
    model: Annotated[
        str | None, typer.Option(metavar="NAME", help="Where the run was meant for several")
    ] = None,
) -> None:
    """Finish a registration that a retraining could not, MLflow being away; twice is once."""
    from srgan.adapters.registering import register_version
    from srgan.evaluate.registrations import read_registration

    with services_for() as services:
        name, lineage = read_registration(services.store, run, model)
        version = register_version(services.settings, services.store, name, lineage)
        typer.echo(
            f"{version.uri} is {run}; the gate decides: `prefect deployment run promote/promote "
            f"--param model={name} --param version={version.version}`"
        )


@models_app.command()
def repair(
    model: Annotated[
        str | None, typer.Argument(metavar="NAME", help="One model; default: all")
    ] = None,
) -> None:
    """Bring aliases to what the promotion log says, after something died in between."""
    from srgan.adapters.champion import lost, publish

    with services_for(model) as services:
        for name in [model] if model else services.registry.names():
            log = services.log(name)
            entries = log.entries()
            moved = publish(services.registry, log, entries[-1]) if entries else None
            if (gone := lost(services.registry, log)) is not None:
                typer.echo(
                    f"{name}: champion version {gone} is gone from the registry, or other weights "
                    f"have its number. Make another one champion: `srgan models rollback {name} "
                    f"--reason TEXT` or `srgan models promote {name}/N --force --reason TEXT`"
                )
                continue
            typer.echo(moved or f"{name}: alias and log agree")


def _challenger(services: Services, address: str) -> "ModelRef":
    """What an address means as a challenger: a bare name is the newest one."""
    from srgan.adapters.addresses import parse_address
    from srgan.adapters.registry import CHALLENGER

    name, alias, version = parse_address(address)
    bare = alias is None and version is None
    return services.registry.resolve(f"models:/{name}@{CHALLENGER}" if bare else address)


def _ask_the_gate(
    services: Services, challenger: "ModelRef", champion: "ModelRef | None", before: int | None
) -> "Entry":
    """The decision that stands, or one by the figures of the registration, where they suffice."""
    from srgan.evaluate.decision import decide, measures, opinion_of, read_set_reports
    from srgan.evaluate.judges import find_judges
    from srgan.evaluate.lineage import recorded_gate
    from srgan.evaluate.report import Report
    from srgan.evaluate.sets import newest_set

    log, judges = services.log(challenger.name), find_judges(services.store)
    tags = services.registry.tags(challenger)
    gate = recorded_gate(tags)
    sets = {name: newest_set(services.store, name).version for name in gate.sets}
    opinion = opinion_of(services.store, challenger, champion)
    standing = log.standing(challenger.version, judges, sets, opinion)
    if standing:
        return standing
    recorded = services.store.find(tags["evaluation"]) if "evaluation" in tags else None
    report = Report.model_validate_json(recorded) if recorded else None
    if report is None or not measures(report, challenger, champion, judges, sets):
        whom = f"champion version {champion.version}" if champion else "bicubic"
        on = "" if "dataset_ref" in tags else " --param dataset=NAME"
        raise ConfigError(
            f"no recorded evaluation compares {challenger.uri} with {whom} by today's judges and "
            "sets, and this command measures nothing; `prefect deployment run promote/promote "
            f"--param model={challenger.name} --param version={challenger.version}{on}` measures "
            "and decides"
        )
    on_sets = read_set_reports(services.store, report)
    return decide(
        log,
        challenger,
        champion,
        report,
        gate,
        on_sets,
        opinion,
        evaluation=tags["evaluation"],
        lost=None if champion else before,
    )


def _say(*lines: object) -> None:
    for line in lines:
        if line is not None:
            typer.echo(str(line))
