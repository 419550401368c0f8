"""Rules about the files themselves: size, names of places, locks, the change log."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("forecast", "pipelines", "edge", "decoding", "dashboards")
SOURCES = sorted(p for package in PACKAGES for p in (ROOT / package).rglob("*.py"))
# Rivals of the benchmarks and packages of devices are pinned by version, and never installed beside the rest.
LOCKS = [
    p for p in sorted((ROOT / "requirements").glob("*.txt")) if not p.name.startswith(("rivals", "edge"))
]
MOST_LINES = 400
MOST_LINES_OF_A_FUNCTION = 40


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def tracked() -> list[Path]:
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / f for f in done.stdout.split("\0") if f and (ROOT / f).is_file()]


# Written in pieces, so that this file does not find itself.
PLACES = re.compile(
    "|".join(
        [
            r"(?<![\w.])/" + r"(?:work|root|Users)/\w",
            r"(?<![\w.])/" + r"home/(?!\$)\w+/",
            r"https?://[^\s)\"'>]*(?:/simp" + r"le\b|/mav" + r"en2\b|/pypi\b|registry\.)",
            r"\b(?:files\.pythonhosted|pypi|registry\.npmjs|repo1?\.maven)\." + r"org\b",
        ]
    )
)


@pytest.mark.parametrize(
    "text",
    ["/" + "work/main/x", "https://mirror.example/" + "simple/numpy", "pypi." + "org", "/" + "home/ann/x"],
)
def test_the_pattern_finds_a_place(text):
    assert PLACES.search(f"see {text} there")


def test_no_file_names_a_registry_or_a_path_of_one_machine():
    found = []
    for path in tracked():
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            continue
        found += [f"{name(path)}:{n}" for n, line in enumerate(lines, 1) if PLACES.search(line)]
    assert not found


def test_sources_are_short():
    long = {name(p): n for p in SOURCES if (n := len(p.read_text().splitlines())) > MOST_LINES}
    assert not long


def size(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function, its docstring not counted."""
    lines = function.end_lineno - function.lineno + 1
    if ast.get_docstring(function) is not None:
        doc = function.body[0]
        lines -= doc.end_lineno - doc.lineno + 1
    return lines


def test_functions_are_short():
    long = {
        f"{name(path)}:{node.lineno} {node.name}": size(node)
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and size(node) > MOST_LINES_OF_A_FUNCTION
    }
    assert not long


def test_every_module_says_what_it_is():
    assert not [name(p) for p in SOURCES if not ast.get_docstring(ast.parse(p.read_text()))]


def test_no_name_that_says_nothing():
    empty = {"utils", "util", "helpers", "helper", "common", "misc", "manager"}
    assert not [name(p) for p in SOURCES if p.stem in empty or p.parent.name in empty]


@pytest.mark.parametrize("lock", LOCKS, ids=name)
def test_a_lock_pins_hashes_and_names_no_host(lock):
    text = lock.read_text()
    assert "://" not in text
    assert "--index" not in text
    pins = [pin for pin in re.split(r"\n(?=\S)", text) if not pin.startswith("#")]
    assert len(pins) > 20
    assert not [pin for pin in pins if "==" not in pin or "--hash=sha256:" not in pin]


def test_the_locks_agree():
    pins = [set(re.findall(r"^\S+==\S+", lock.read_text(), re.MULTILINE)) for lock in LOCKS]
    base, dev = pins
    assert base < dev


def test_the_change_log_has_a_place_for_the_next_change():
    sections = re.findall(r"^## .*$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert sections[0] == "## [Unreleased]"
