"""Docs say what the code does: their examples run, their commands exist, their tables are complete."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import yaml

from bus.runtime.component import Component
from bus.runtime.settings import Instrument, RunSettings
from deploy.catalog import CATALOG, DEFAULTS
from deploy.cli.main import COMMANDS
from deploy.plan import make_plan
from deploy.topology import BusSection, ComponentSection, ExecutionSection, SystemSection
from tests.support.launching import ROOT, admf, launch_json

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "schemas" / "README.md"]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def test_the_component_of_the_guide_runs_as_it_stands(tmp_path):
    guide = ROOT / "docs" / "components.md"
    (code,), (topology,) = blocks(guide, "python"), blocks(guide, "yaml")
    (tmp_path / "my_strategies.py").write_text(code)
    (tmp_path / "topology.yaml").write_text(topology)
    shutil.copy(ROOT / "configs" / "data" / "daily.csv", tmp_path)
    local = launch_json(tmp_path / "topology.yaml", tmp_path)
    assert local["fills"] >= 10
    apart = launch_json(tmp_path / "topology.yaml", tmp_path, "--placement", "processes")
    assert apart["digest"] == local["digest"]


def test_the_guide_names_every_part_of_the_contract():
    text = (ROOT / "docs" / "components.md").read_text()
    for name in [n for n in vars(Component) if not n.startswith("_")]:
        if name not in ("initialize", "handlers", "start", "stop", "parameters"):
            assert name in text, name


def test_the_topology_of_the_readme_passes_the_check(tmp_path):
    (topology,) = blocks(ROOT / "README.md", "yaml")
    (tmp_path / "my_strategies.py").write_text(blocks(ROOT / "docs" / "components.md", "python")[0])
    content = yaml.safe_load(topology)
    path = tmp_path / "topology.yaml"
    path.write_text(yaml.safe_dump(content))
    plan = make_plan(path, [f"components.data_handler.path={ROOT / 'configs/data/daily.csv'}"])
    assert {entry.component.component_type for entry in plan.entries} >= set(DEFAULTS)


@pytest.mark.parametrize(
    ("section", "model"),
    [
        ("system", SystemSection),
        ("execution", ExecutionSection),
        ("bus", BusSection),
        ("backtest", RunSettings),
        ("components", ComponentSection),
    ],
)
def test_the_topology_page_has_every_key(section, model):
    text = (ROOT / "docs" / "topology.md").read_text()
    part = re.search(rf"^## `{section}`\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL).group(1)
    documented = set(re.findall(r"`(\w+)`", part))
    assert {field.alias or name for name, field in model.model_fields.items()} <= documented


def test_the_topology_page_names_every_key_of_an_instrument():
    text = (ROOT / "docs" / "topology.md").read_text()
    assert all(f"`{name}`" in text for name in Instrument.model_fields)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere_and_commands_exist(page, tmp_path):
    text = page.read_text()
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert (page.parent / target).exists(), target
    known = set(COMMANDS)
    for command in re.findall(r"\badmf (\w+) [A-Z\[c\-]", text):
        assert command in known, command


def test_every_path_in_the_readme_exists():
    for path in re.findall(r"`((?:\w+/)+)`", (ROOT / "README.md").read_text()):
        assert (ROOT / path).is_dir(), path


def test_every_short_class_name_can_be_made(tmp_path):
    from deploy.catalog import component_class

    for name in CATALOG:
        assert component_class(name).__name__ == name


def test_the_options_in_the_readme_are_those_of_launch(tmp_path):
    usage = admf("launch", "--help", folder=tmp_path).stdout
    for option in ("--placement", "--set", "--json"):
        assert option in usage
        assert option in (ROOT / "README.md").read_text()


def test_the_result_in_the_readme_is_that_of_the_run(tmp_path):
    config = str(ROOT / "configs" / "backtest.yaml")
    done = admf("launch", config, "--set", f"bus.run_dir={tmp_path / 'runs'}", folder=tmp_path)
    rows = {tuple(cell.strip() for cell in line.split("│")[1:3]) for line in done.stdout.splitlines() if "│" in line}
    shown = [line.split("│")[1:3] for line in (ROOT / "README.md").read_text().splitlines() if line.startswith("│")]
    for label, value in shown:
        assert "..." in label or (label.strip(), value.strip()) in rows, label
