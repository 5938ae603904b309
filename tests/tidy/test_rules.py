"""Rules that hold for the whole tree. A rule that nobody checks is a wish."""

from __future__ import annotations

import ast
import importlib
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGES = ("schemas", "bus", "components", "deploy")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
LEFT_FOR_LATER = [word[::-1] for word in ("ODOT", "EMXIF", "KCAH")]
TESTS = sorted((ROOT / "tests").rglob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def functions(tree: ast.AST):
    return [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]


@pytest.mark.parametrize("package", PACKAGES)
def test_the_packages_under_test_are_those_of_this_repository(package):
    assert Path(importlib.import_module(package).__file__).parent == ROOT / package


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_modules_functions_and_classes_stay_small(path):
    text = path.read_text()
    tree = ast.parse(text)
    assert text.count("\n") <= 400
    long = [f.name for f in functions(tree) if f.end_lineno - f.lineno > 60]
    assert long == [], "functions over 60 lines"
    classes = [n for n in ast.walk(tree) if isinstance(n, ast.ClassDef)]
    wide = [c.name for c in classes if sum(isinstance(m, ast.FunctionDef) for m in c.body) > 24]
    assert wide == [], "classes with too many methods"


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_every_module_and_every_public_thing_says_what_it_is(path):
    tree = ast.parse(path.read_text())
    if path.name != "__init__.py" or path.read_text().strip():
        assert ast.get_docstring(tree), "the module has no docstring"
    silent = [
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name[0] != "_" and not ast.get_docstring(node)
    ]
    assert silent == []


def is_edge(path: Path) -> bool:
    """Edges touch the world outside; their modules are components/*/live.py or live_*.py."""
    return "components" in path.parts and (path.name == "live.py" or path.name.startswith("live_"))


@pytest.mark.parametrize(
    "path",
    [p for p in SOURCES if p.parts[len(ROOT.parts)] in ("components", "schemas") and not is_edge(p)],
    ids=name_of,
)
def test_no_component_knows_a_clock_or_chance_or_its_surroundings(path):
    forbidden = re.compile(
        r"\b(datetime\.now|datetime\.utcnow|time\.time|time\.monotonic|time\.perf_counter|uuid\d?\b|os\.environ|"
        r"os\.getenv|random\.(random|randint|choice|shuffle|seed|gauss|uniform)\(|threading|multiprocessing|socket)"
    )
    found = [line.strip() for line in path.read_text().splitlines() if forbidden.search(line.partition("#")[0])]
    assert found == []


def test_the_time_of_day_enters_the_bus_by_one_door():
    told = [p for p in SOURCES if "bus" in p.parts and re.search(r"time\.time(_ns)?\(|datetime\.now", p.read_text())]
    assert [name_of(path) for path in told] == ["bus/runtime/clock.py"]


@pytest.mark.parametrize("path", [*SOURCES, *TESTS], ids=name_of)
def test_nothing_is_left_for_later_and_no_test_sleeps(path):
    text = path.read_text()
    assert not re.search(rf"\b({'|'.join(LEFT_FOR_LATER)})\b", text)
    if path in TESTS:
        assert not re.search(r"\bsleep\(", text.replace("sleep\\(", ""))


def test_every_dependency_has_its_reason():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = list(project["dependencies"])
    for extra in project["optional-dependencies"].values():
        wanted += [requirement for requirement in extra if not requirement.startswith("admf-trader")]
    declared = {re.split(r"[<>=~!\[ ]", requirement)[0] for requirement in wanted}
    page = (ROOT / "docs" / "dependencies.md").read_text()
    explained = set(re.findall(r"^\| ([A-Za-z][\w-]+) \|", page, re.MULTILINE)) - {"package"}
    assert explained == declared


def test_components_never_import_each_other():
    kinds = {"data", "strategy", "risk", "order_manager", "broker", "portfolio", "coordinator"}
    for path in (ROOT / "components").rglob("*.py"):
        kind = path.relative_to(ROOT / "components").parts[0]
        for imported in re.findall(r"^\s*from components\.(\w+)", path.read_text(), re.MULTILINE):
            assert imported == kind or imported not in kinds, f"{name_of(path)} imports components.{imported}"
