"""Dashboard, alert rules and scraping name what is there: metrics, labels, nodes and files."""

import json
import os
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import kubernetes_validate
import promql_parser
import pytest
import yaml
from promql_parser import VectorSelector
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from ray.dashboard.modules.reporter.reporter_agent import GPU_TAG_KEYS, METRICS_GAUGES

from srgan.services import prefect_alerts
from srgan.services.ray_metrics import METRICS
from tests.support.checkout import DEPLOYMENTS, ROOT
from tests.support.manifests import COMPOSE, KUBERNETES, find, render, services

COMPONENT = KUBERNETES / "components" / "monitoring"
DASHBOARD = json.loads((COMPONENT / "dashboard.json").read_text())
SCRAPED = yaml.safe_load((COMPOSE.parent / "monitoring" / "prometheus.yaml").read_text())
ALERTS = yaml.safe_load(prefect_alerts.ALERTS.read_text())["automations"]
PAGE = (ROOT / "docs" / "monitoring.md").read_text()

OURS = {metric.exported: set(metric.labels) for metric in METRICS}
RAYS = {f"ray_{name}" for name in METRICS_GAUGES}
ADDED = {"instance", *GPU_TAG_KEYS}
"""Labels that Prometheus and Ray add, and the dashboard uses."""
NAMES = {"srgan-ray", "ray-metrics", "srgan-dashboard"}
"""Names of the component's objects, besides its rules."""


Objects = dict[str, dict[str, Any]]


def objects_of(folder: Path, **more: Any) -> Objects:
    """Objects of the component by their kind, in an overlay with `more`."""
    base, component = (os.path.relpath(path, folder) for path in (KUBERNETES / "base", COMPONENT))
    described = {"resources": [base], "components": [component], **more}
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(described))
    return {
        one["kind"]: one
        for one in render(folder)
        if one["metadata"]["name"] in NAMES or one["kind"] == "PrometheusRule"
    }


@pytest.fixture(scope="module")
def component(tmp_path_factory: pytest.TempPathFactory) -> Objects:
    return objects_of(tmp_path_factory.mktemp("overlay"))


class Known(BaseModel):
    """A part of an object of the Prometheus operator; other fields than its own are refused."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel)


class Endpoint(Known):
    port: str
    interval: str = Field(pattern=r"^\d+s$")
    scrape_timeout: str = Field(pattern=r"^\d+s$")


class Selector(Known):
    match_labels: dict[str, str]


class PodMonitorSpec(Known):
    """Fields of ours in a PodMonitor, from the operator's reference (monitoring.coreos.com/v1)."""

    selector: Selector
    pod_target_labels: list[str]
    pod_metrics_endpoints: list[Endpoint]


class Rule(Known):
    alert: str
    expr: str
    for_: str = Field(alias="for", pattern=r"^\d+[mh]$")
    labels: dict[str, str]
    annotations: dict[str, str]


class Group(Known):
    name: str
    rules: list[Rule]


class Rules(Known):
    """The specification of a PrometheusRule, and what Prometheus itself reads as a rule file."""

    groups: list[Group]


OF_OPERATOR = {"PodMonitor": PodMonitorSpec, "PrometheusRule": Rules}


def test_every_object_fits_its_schema(component: Objects) -> None:
    assert component.keys() == {*OF_OPERATOR, "NetworkPolicy", "ConfigMap"}
    for kind, one in component.items():
        if kind in OF_OPERATOR:
            assert one.keys() == {"apiVersion", "kind", "metadata", "spec"}
            assert one["apiVersion"] == "monitoring.coreos.com/v1"
            OF_OPERATOR[kind].model_validate(one["spec"])
        else:
            kubernetes_validate.validate(one, "1.34", strict=True)


def test_prometheus_of_compose_reads_the_rules_of_kubernetes(component: Objects) -> None:
    (mounted,) = (
        source
        for source, target, _ in (
            each.split(":") for each in services()["prometheus"]["volumes"][1:]
        )
        if target in SCRAPED["rule_files"]
    )
    assert (
        yaml.safe_load((COMPOSE.parent / mounted).read_text())
        == (component["PrometheusRule"]["spec"])
    ), "copy what is below `spec` of the component's alerts.yaml"


def queries() -> list[tuple[str, str, str]]:
    """Title of each panel, a query of it as Grafana sends it, and its legend."""
    found = [
        (panel["title"], target["expr"].replace("$__rate_interval", "1m"), target["legendFormat"])
        for panel in DASHBOARD["panels"]
        for target in panel.get("targets", [])
    ]
    assert found
    return found


def rules(component: Objects) -> list[dict[str, Any]]:
    """Rules of the only group."""
    (group,) = component["PrometheusRule"]["spec"]["groups"]
    assert group["rules"]
    return group["rules"]


def selectors(expression: str) -> list[VectorSelector]:
    """Every selector in a query; `ValueError` if Prometheus would not understand the query."""
    found: list[VectorSelector] = []

    def visit(node: Any) -> bool:
        if isinstance(node, promql_parser.MatrixSelector):
            found.append(node.vector_selector)
        elif isinstance(node, VectorSelector):
            found.append(node)
        return True

    promql_parser.walk(promql_parser.parse(expression), visit)
    return found


def check(expression: str) -> set[str]:
    """Names of the metrics in a query; they and the labels of ours exist."""
    names = set()
    for each in selectors(expression):
        assert each.name in OURS.keys() | RAYS, f"nobody exports {each.name}"
        labels = {matcher.name for matcher in each.matchers.matchers}
        assert labels <= OURS.get(each.name, set()), f"{each.name} does not have {labels}"
        names.add(each.name)
    assert names, expression
    return names


def test_every_query_of_the_dashboard_is_about_metrics_that_exist() -> None:
    for title, expression, legend in queries():
        names = check(expression)
        used = set(re.findall(r"\{\{(\w+)\}\}", legend))
        known = set.intersection(*(OURS.get(name, ADDED) for name in names))
        assert used <= known, f"{title}: {used}"


def test_every_metric_of_ours_is_on_the_dashboard() -> None:
    shown = {name for _, expression, _ in queries() for name in check(expression)}
    assert OURS.keys() - shown == set()
    assert "ray_node_gpus_utilization" in shown


def test_every_alert_rule_is_about_metrics_that_exist(
    component: Objects,
) -> None:
    for rule in rules(component):
        check(rule["expr"])
        assert set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"]))) <= {"run"}


@pytest.mark.parametrize(
    "expression",
    ["rate(ray_srgan_train_step[5m]", "ray_srgan_gone", 'ray_srgan_train_step{key="a"}'],
)
def test_a_query_that_finds_nothing_is_found(expression: str) -> None:
    with pytest.raises((ValueError, AssertionError)):
        check(expression)


def test_panels_lie_beside_and_below_each_other() -> None:
    boxes = [panel["gridPos"] for panel in DASHBOARD["panels"]]
    for one, other in combinations(boxes, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or below
    assert all(box["x"] + box["w"] <= 24 for box in boxes)
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))


def test_prometheus_reaches_the_nodes_of_ray_in_kubernetes(
    component: Objects,
) -> None:
    cluster = find("aws", "RayCluster", "srgan")
    pods = {"matchLabels": {"ray.io/cluster": cluster["metadata"]["name"]}}
    monitor, policy = component["PodMonitor"]["spec"], component["NetworkPolicy"]["spec"]
    assert monitor["selector"] == policy["podSelector"] == pods
    # KubeRay gives its pods this port unless they have one of that name.
    (endpoint,) = monitor["podMetricsEndpoints"]
    assert endpoint["port"] == "metrics"
    assert [rule["ports"] for rule in policy["ingress"]] == [[{"port": 8080}]]
    for group in (cluster["spec"]["headGroupSpec"], *cluster["spec"]["workerGroupSpecs"]):
        assert "metrics-export-port" not in group["rayStartParams"]


def test_a_label_that_a_prometheus_wants_is_added_as_the_page_says(tmp_path: Path) -> None:
    (snippet,) = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.M | re.S)
    found = objects_of(tmp_path, **yaml.safe_load(snippet))
    for kind in ("PodMonitor", "PrometheusRule"):
        assert found[kind]["metadata"]["labels"]["release"] == "prometheus"


def test_the_namespace_of_an_overlay_has_the_dashboard_for_grafana(
    component: Objects,
) -> None:
    shown = component["ConfigMap"]
    assert shown["metadata"]["labels"] == {"grafana_dashboard": "1"}
    assert json.loads(shown["data"]["dashboard.json"]) == DASHBOARD


def test_prometheus_of_compose_asks_every_node_of_ray_at_its_port() -> None:
    commands = {name: one.get("command", []) for name, one in services().items()}
    nodes = {name for name, words in commands.items() if words[:2] == ["ray", "start"]}
    (scraped,) = SCRAPED["scrape_configs"]
    (asked,) = scraped["dns_sd_configs"]
    assert set(asked["names"]) == nodes
    for node in nodes:
        assert f"--metrics-export-port={asked['port']}" in commands[node]


@pytest.mark.parametrize("service", ["prometheus", "grafana"])
def test_files_of_the_monitoring_services_are_there(service: str) -> None:
    mounted = [each.split(":") for each in services()[service]["volumes"] if each.startswith(".")]
    assert mounted
    for file, _, mode in mounted:
        assert (COMPOSE.parent / file).is_file(), file
        assert mode == "ro"


def test_the_page_has_the_table_of_our_metrics() -> None:
    table = [
        f"| `{metric.exported}` | {', '.join(f'`{label}`' for label in metric.labels)} "
        f"| {metric.text} |"
        for metric in METRICS
    ]
    assert re.findall(r"^\| `ray_srgan_.*$", PAGE, re.M) == table, "\n".join(table)


def test_the_page_explains_every_alert(component: Objects) -> None:
    names = [rule["alert"] for rule in rules(component)] + [each["name"] for each in ALERTS]
    rows = re.findall(r"^\| `([Ss]rgan\S*)` \|", PAGE, re.M)
    assert sorted(rows) == sorted(names)


def slow_after() -> dict[str, list[int]]:
    """Seconds after which each deployment is called slow."""
    found: dict[str, list[int]] = {name: [] for name in DEPLOYMENTS}
    for each in ALERTS:
        if each["name"].startswith("srgan-slow-"):
            for name in each["trigger"]["match_related"]["prefect.resource.name"]:
                found[name].append(each["trigger"]["within"])
    return found


def test_every_deployment_has_one_bound_but_those_that_wait_for_people_or_take_seconds() -> None:
    without = {name for name, bounds in slow_after().items() if not bounds}
    assert without == {"study", "revive"}
    assert all(len(bounds) <= 1 for bounds in slow_after().values())


def test_every_schedule_has_an_alert_when_its_runs_do_not_complete() -> None:
    periods = {"0 3 * * 0": 7 * 86400, "*/10 * * * *": 600}
    overdue = {
        each["trigger"]["match_related"][0]["prefect.resource.name"]: each["trigger"]["within"]
        for each in ALERTS
        if each["name"].startswith("srgan-overdue-")
    }
    scheduled = {name: one["schedules"] for name, one in DEPLOYMENTS.items() if "schedules" in one}
    assert overdue.keys() == scheduled.keys()
    for name, (schedule,) in scheduled.items():
        assert periods[schedule["cron"]] < overdue[name]
