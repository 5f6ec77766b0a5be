"""The rules of the house, read from the source itself."""

import ast
import re
from pathlib import Path

import pytest

from tests.conftest import ROOT

PACKAGES = ("bundle", "training", "export", "serving", "clients")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
NAMES = [str(path.relative_to(ROOT)) for path in SOURCES]
FORBIDDEN_NAMES = ("utils", "util", "common", "helpers", "helper", "misc")
KINDS = {"method": "methods", "dataset": "datasets", "encoder": "encoders", "fusion": "fusion", "context": "conditions"}

every_source = pytest.mark.parametrize("path", SOURCES, ids=NAMES)


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


@every_source
def test_no_file_is_over_250_lines_or_named_for_nothing(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= 250
    assert path.stem.strip("_") not in FORBIDDEN_NAMES


@every_source
def test_every_module_begins_with_one_sentence(path: Path) -> None:
    text = ast.get_docstring(tree_of(path))
    assert text and re.search(r"[.:;]$|\w$", text.splitlines()[0])
    assert path.read_text("utf-8").startswith('"""'), "on its first line"


def undocumented(body: list[ast.stmt], prefix: str = "") -> list[str]:
    """Public classes, functions and methods without a docstring."""
    found = []
    for node in body:
        if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) or node.name.startswith("_"):
            continue
        if ast.get_docstring(node) is None:
            found.append(prefix + node.name)
        if isinstance(node, ast.ClassDef):
            found += undocumented(node.body, f"{prefix}{node.name}.")
    return found


@every_source
def test_everything_public_has_a_docstring(path: Path) -> None:
    assert undocumented(tree_of(path).body) == []


@every_source
def test_nothing_is_pickled(path: Path) -> None:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            modules = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
            assert not {"pickle", "dill", "joblib", "cloudpickle", "shelve", "marshal"} & set(modules)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = node.func.value
            called = f"{owner.id}.{node.func.attr}" if isinstance(owner, ast.Name) else ""
            assert called not in ("torch.load", "torch.save", "pd.read_pickle", "pandas.read_pickle")
        if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
            assert isinstance(node.value, ast.Constant) and node.value.value is False


def compared(path: Path, names: set[str]) -> list[str]:
    """Comparisons of a method, dataset, encoder and so on with the name of one."""
    found = []
    for node in ast.walk(tree_of(path)):
        if not isinstance(node, ast.Compare | ast.Match):
            continue
        sides = [node.left, *node.comparators] if isinstance(node, ast.Compare) else [node.subject, *_patterns(node)]
        constants = [part.value for side in sides for part in ast.walk(side) if isinstance(part, ast.Constant)]
        words = [getattr(side, "attr", getattr(side, "id", "")) for side in sides]
        if any(word in KINDS for word in words) and names & {value for value in constants if isinstance(value, str)}:
            found.append(f"line {node.lineno}")
    return found


def _patterns(node: ast.Match) -> list[ast.expr]:
    return [case.pattern.value for case in node.cases if isinstance(case.pattern, ast.MatchValue)]


@every_source
def test_no_name_of_a_method_or_dataset_is_compared_outside_its_folder(path: Path) -> None:
    names = {
        found.stem
        for kind in KINDS.values()
        for found in (ROOT / "training" / kind).glob("*.py")
        if path.parent != found.parent
    }
    allowed = ["export/card.py"]  # a warning that generated data proves nothing
    if str(path.relative_to(ROOT)) not in allowed:
        assert compared(path, names) == []


def test_the_comparison_would_be_found(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text("if config.method == 'joint':\n    pass\nif dataset in ('demo', 'x'):\n    pass\n")
    (tmp_path / "two.py").write_text("match config.method:\n    case 'joint':\n        pass\n")
    assert compared(tmp_path / "one.py", {"joint", "demo"}) == ["line 1", "line 3"]
    assert compared(tmp_path / "two.py", {"joint"}) == ["line 1"]
    assert compared(tmp_path / "one.py", {"other"}) == []


@pytest.mark.parametrize("package", PACKAGES)
def test_nothing_reads_the_environment_when_imported_except_settings(package: str) -> None:
    for path in (ROOT / package).rglob("*.py"):
        if path.stem == "settings":
            continue
        for node in tree_of(path).body:
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                used = {getattr(part, "attr", getattr(part, "id", "")) for part in ast.walk(node)}
                assert not {"environ", "getenv"} & used, path
