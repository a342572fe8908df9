"""What is in deploy/: each file is held to the tool that reads it, and what they name is there."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.support.limits import PATIENCE
from tests.support.process import Process
from tidings.config import Config
from tidings.worker.ahead import IS_AHEAD
from tidings.worker.reporting import FIGURES

DEPLOY = Path(__file__).parents[2] / "deploy"
TOOLS = Path(sys.executable).parent


def run(*command: object) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def debians(tool: str, package: str) -> str:
    return shutil.which(tool) or pytest.skip(f"{tool} is not installed (Debian: apt-get install {package})")


def promtool() -> str:
    return debians("promtool", "prometheus")


def settings_named(text: str) -> set[str]:
    return {name.lower() for name in re.findall(r"TIDINGS_([A-Z_]+)", text)}


def expressions() -> list[str]:
    rules = yaml.safe_load((DEPLOY / "prometheus/tidings.rules.yml").read_text())
    dashboard = json.loads((DEPLOY / "grafana/tidings.json").read_text())
    return [rule["expr"] for group in rules["groups"] for rule in group["rules"]] + [
        target["expr"] for panel in dashboard["panels"] for target in panel["targets"]
    ]


def test_the_image_is_built_as_hadolint_wants_it() -> None:
    run(TOOLS / "hadolint", DEPLOY / "Dockerfile")


@pytest.mark.parametrize("file", sorted((DEPLOY / "kubernetes").glob("*.yaml")), ids=lambda file: file.stem)
def test_kubernetes_knows_every_field_of_the_manifests(file: Path) -> None:
    run(TOOLS / "kubernetes-validate", "--strict", file)


@pytest.mark.parametrize("unit", ["tidings.service", "tidings-worker@.service"])
def test_systemd_knows_every_line_of_the_units(unit: str, tmp_path: Path) -> None:
    tool = debians("systemd-analyze", "systemd")
    command = tmp_path / "tidings"
    command.write_text("#!/bin/sh\n")
    command.chmod(0o755)
    (tmp_path / unit).write_text((DEPLOY / "systemd" / unit).read_text().replace("/opt/tidings/bin/tidings", str(command)))
    said = subprocess.run(
        [tool, "verify", "--man=no", str(tmp_path / unit)], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert unit.split("@")[0] not in said.stderr, said.stderr


@pytest.mark.parametrize("file", [path for path in sorted(DEPLOY.rglob("*")) if path.is_file()], ids=lambda path: path.name)
def test_every_setting_that_is_named_is_one(file: Path) -> None:
    text = file.read_text().replace("TIDINGS_AHEAD_", "")  # what streams of homes are called begins so
    assert settings_named(text) <= {*Config.__struct_fields__, "stop_grace_seconds"}


def test_the_alerts_fire_when_they_should() -> None:
    run(promtool(), "check", "config", DEPLOY / "prometheus/prometheus.yml")
    run(promtool(), "test", "rules", DEPLOY / "prometheus/tidings.rules.test.yml")


def test_every_alert_is_seen_to_fire_and_not_to() -> None:
    rules = yaml.safe_load((DEPLOY / "prometheus/tidings.rules.yml").read_text())
    tested = yaml.safe_load((DEPLOY / "prometheus/tidings.rules.test.yml").read_text())
    alerts = {rule["alert"] for group in rules["groups"] for rule in group["rules"]}
    cases = [case for test in tested["tests"] for case in test["alert_rule_test"]]
    assert {case["alertname"] for case in cases if case["exp_alerts"]} == alerts
    assert {case["alertname"] for case in cases if not case["exp_alerts"]} == alerts


async def test_what_alerts_and_dashboard_ask_for_is_told(database_url: str, tmp_path: Path) -> None:
    server = await Process.start(
        "serve", database_url=database_url, data_dir=tmp_path, admin_key="test", port=0, secret_key="test"
    )
    try:
        async with httpx.AsyncClient(base_url=server.ready["url"], headers={"X-API-Key": "test"}) as client:
            told = (await client.get("/metrics")).text
    finally:
        await server.stop()
    names = {sample.name for family in text_string_to_metric_families(told) for sample in family.samples}
    names |= {family.name for family in (*FIGURES.collect(), *IS_AHEAD.collect())}  # which only members of a fleet tell
    names |= {f"{family.name}_total" for family in text_string_to_metric_families(told) if family.type == "counter"}
    asked = {name for expression in expressions() for name in re.findall(r"tidings_\w+", expression)}
    assert asked <= names
    assert asked


def test_a_prometheus_evaluates_what_the_dashboard_asks(tmp_path: Path) -> None:
    tool = promtool()
    cases: list[dict[str, Any]] = [
        {"expr": expression.replace("$__rate_interval", "5m"), "eval_time": "10m", "exp_samples": []}
        for expression in expressions()
    ]
    test = tmp_path / "test.yml"
    test.write_text(yaml.safe_dump({"tests": [{"interval": "1m", "input_series": [], "promql_expr_test": cases}]}))
    run(tool, "test", "rules", test)
