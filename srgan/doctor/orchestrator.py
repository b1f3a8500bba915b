"""Checks of Prefect: its server, pool and worker, and whether it has this checkout's flows."""

import ast
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from srgan.doctor.addresses import reach
from srgan.doctor.checks import Check, Seen, failed, ok, warning
from srgan.errors import RefusedError, SrganError, first_few
from srgan.readable import duration
from srgan.services.deployments import read_project
from srgan.services.prefect_setup import (
    SIGN_IN,
    Deployment,
    read_automations,
    read_deployments,
    read_pool,
    server_version,
)
from srgan.settings import Settings

_REMEDY = "Set PREFECT_API_URL to the server's API, which ends in /api, and look at its log"
_FILE = "Bring prefect.yaml back as it is in this release, or install srgan again"
_DEPLOY = "Register the flows: `srgan deploy`"
_IMPORT_LIMIT_S = 45.0


def orchestrator_checks(
    settings: Settings, checkout: Path, find_file: Callable[[], Path]
) -> list[Check]:
    """Return the checks of the Prefect server that `settings` name; see `examine`."""
    check = partial(Check, remedy=_REMEDY, needs=("server",))
    first = [
        check(
            "address",
            lambda: reach(settings.require("prefect_api_url"), "PREFECT_API_URL"),
            needs=(),
        ),
        check(
            "server",
            _server,
            needs=("address",),
            limit_s=_IMPORT_LIMIT_S,
        ),
    ]
    try:
        project = read_project(find_file(), settings)
    except SrganError as error:
        # Without the file nobody knows which pools and deployments there should be.
        seen = failed(str(error), _FILE)
        return [*first, check("prefect.yaml", lambda: seen, needs=())]
    wanted = project["deployments"]
    pools = sorted({each["work_pool"]["name"] for each in wanted})
    return [
        *first,
        *(check(f"pool {name}", partial(_pool, name)) for name in pools),
        *(
            check(f"worker of {name}", partial(_worker, name), needs=(f"pool {name}",))
            for name in pools
        ),
        check("deployments", lambda: _deployments(project, checkout), remedy=_DEPLOY),
        check("automations", lambda: _automations(wanted), remedy=_DEPLOY),
    ]


def _server() -> Seen:
    try:
        return ok(f"Prefect {server_version()}")
    except RefusedError:
        return failed("the server refuses the password (401 Unauthorized)", SIGN_IN)


def _pool(name: str) -> Seen:
    pool = read_pool(name)
    if pool is None:
        return failed(
            f"the server has no work pool {name}",
            f"Make it: `prefect work-pool create {name} --type process`",
        )
    if pool.paused:
        return failed(f"{name} is paused", f"`prefect work-pool resume {name}`")
    return ok(f"{name}, of type {pool.kind}")


def _worker(name: str) -> Seen:
    pool = read_pool(name)
    workers = pool.workers if pool else ()
    online = [each.name for each in workers if each.online]
    if online:
        return ok(f"{first_few(online, ', ')} online")
    seen = [each.seen_at for each in workers if each.seen_at]
    ago = f"; one was last seen {duration(_age_s(max(seen)))} ago" if seen else ""
    return failed(
        f"no worker of {name} is online{ago}, so no run starts",
        f"Start one where the flows are: `prefect worker start --pool {name}`",
    )


def _age_s(time: datetime) -> float:
    return (datetime.now(UTC) - time).total_seconds()


def _deployments(project: Mapping[str, Any], checkout: Path) -> Seen:
    """Compare the server's deployments with the checkout's."""
    wanted, pull = project["deployments"], project.get("pull", [])
    known = read_deployments()
    bad = [
        f"{each['name']} {problem}"
        for each in wanted
        if (problem := _differs(each, pull, known, checkout))
    ]
    if bad:
        return failed(first_few(bad), _DEPLOY)
    return ok(f"{len(wanted)} as in {checkout}, of {len(known)} on the server")


def _differs(
    wanted: Mapping[str, Any],
    pull: list[dict[str, Any]],
    known: list[Deployment],
    checkout: Path,
) -> str | None:
    """Say how the server's deployment differs from the wanted one; None if it does not."""
    named = [each for each in known if each.name == wanted["name"]]
    found = next((each for each in named if each.entrypoint == wanted["entrypoint"]), None)
    if found is None:
        others = ", ".join(each.entrypoint for each in named)
        return f"starts {others}, not {wanted['entrypoint']}" if others else "is not registered"
    if found.pull != pull:
        return f"gets its flows by {_told(found.pull)}, not by {_told(pull)}"
    if found.pool != wanted["work_pool"]["name"]:
        return f"is in pool {found.pool}, not in {wanted['work_pool']['name']}"
    if found.parameters != (takes := parameters_of(checkout, wanted["entrypoint"])):
        missing = ", ".join(sorted(found.parameters ^ takes))
        return f"was registered from other code (parameters {missing})"
    return None


def _told(pull: list[dict[str, Any]]) -> str:
    """Steps in words: ``set_working_directory(/opt/srgan)``."""
    return ", ".join(
        f"{name.rpartition('.')[2]}({', '.join(map(str, (inputs or {}).values()))})"
        for step in pull
        for name, inputs in step.items()
    )


def parameters_of(checkout: Path, entrypoint: str) -> frozenset[str]:
    """Return the names of a flow's parameters, from its source; no flow is imported."""
    file, _, name = entrypoint.partition(":")
    tree = ast.parse((checkout / file).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name == name:
            arguments = node.args
            return frozenset(each.arg for each in (*arguments.args, *arguments.kwonlyargs))
    return frozenset()


def _automations(wanted: list[dict[str, Any]]) -> Seen:
    """Look for the automations that the checkout's deployments enable."""
    known = read_automations()
    enabled = list(_enabled_triggers(wanted))
    missing = [name for name in enabled if name not in known]
    if missing:
        return failed(f"missing: {', '.join(missing)}", _DEPLOY)
    if off := [name for name in enabled if not known[name]]:
        return warning(
            f"switched off: {', '.join(off)}; runs whose process dies are not put back",
            "Switch them on in Prefect's page of automations",
        )
    return ok(f"{first_few(enabled, ', ') or 'none is needed'}; {len(known)} on the server")


def _enabled_triggers(wanted: list[dict[str, Any]]) -> Iterator[str]:
    for deployment in wanted:
        for trigger in deployment.get("triggers", []):
            if trigger.get("enabled"):
                yield trigger["name"]
