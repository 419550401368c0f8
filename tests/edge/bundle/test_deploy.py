"""Files for deployment: filled in, and of the form that their readers ask for."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest
import yaml

from edge.bundle.deploy import deploy_files
from edge.runtime.cli import build_parser
from edge.runtime.manifest import check_path

UNIT = "deploy/systemd/forecast-edge.service"
IMAGE = "deploy/container/Containerfile"
RECIPE = "deploy/greengrass/recipe.yaml"
VERSIONS = {"numpy": "2.4.6", "onnxruntime": "1.31.1"}


def files(name="shop", number=7):
    return {path: data.decode() for path, data in deploy_files(name, number, VERSIONS).items()}


@pytest.mark.parametrize("path", sorted(files()))
def test_nothing_is_left_to_fill_in(path):
    assert not re.search(r"\$\{?[a-z_]+", files()[path])
    assert files()[path].endswith("\n")
    check_path(path)


def commands(text: str) -> list[list[str]]:
    """Commands of the runtime in a file, without places that something else fills in."""
    plain = re.sub(r"\{[^}]*\}", "x", text.replace('", "', " ").replace('", \\\n     "', " "))
    found = re.findall(r"forecast-edge\.pyz[\"]?,?[ ]+([^\n<\]\"]+)", plain)
    return [line.split() for line in found if not line.startswith(("/", "into"))]


@pytest.mark.parametrize("path", sorted(files()))
def test_every_command_is_one_of_the_runtime(path, capsys):
    found = [words for words in commands(files()[path]) if words[0].isalpha() and words[0] != "and"]
    assert found, path
    for words in found:
        build_parser().parse_args(words)  # exits where it does not know one


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd")
def test_systemd_takes_the_unit(tmp_path):
    unit = tmp_path / "forecast-edge.service"
    unit.write_text(files()[UNIT])
    done = subprocess.run(
        ["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    "line",
    ["NoNewPrivileges=yes", "ProtectSystem=strict", "CapabilityBoundingSet=", "PrivateDevices=yes",
     "IPAddressDeny=any", "IPAddressAllow=localhost", "SystemCallArchitectures=native",
     "StateDirectory=forecast-edge"],
)  # fmt: skip
def test_the_unit_is_closed(line):
    assert line in files()[UNIT].splitlines()


def test_every_line_of_the_unit_is_a_section_a_setting_or_a_comment():
    for line in files()[UNIT].splitlines():
        assert re.fullmatch(r"|#.*|\[[A-Z][a-z]+\]|[A-Z][A-Za-z]+=.*", line), line


def test_the_recipe_is_a_component_of_greengrass():
    recipe = yaml.safe_load(files("Shop floor/7")[RECIPE])
    assert recipe["RecipeFormatVersion"] == "2020-01-25"
    assert re.fullmatch(r"[a-zA-Z0-9-_.]+", recipe["ComponentName"])
    assert recipe["ComponentName"] == "forecast.edge.Shop-floor-7"
    assert re.fullmatch(r"\d+\.\d+\.\d+", recipe["ComponentVersion"])
    assert recipe["ComponentVersion"].endswith(".7")
    (manifest,) = recipe["Manifests"]
    assert set(manifest) == {"Name", "Platform", "Artifacts", "Lifecycle"}
    assert manifest["Platform"] == {"os": "linux"}
    assert set(manifest["Lifecycle"]) == {"Install", "Run"}
    for artifact in manifest["Artifacts"]:
        assert artifact["URI"].startswith("s3://BUCKET/forecast.edge.Shop-floor-7/1.0.7/")
        assert artifact["Unarchive"] == "NONE"
    script = manifest["Lifecycle"]["Install"]["Script"]
    assert "numpy==2.4.6 onnxruntime==1.31.1" in script
    assert "Shop-floor-7.edge.zip" in script


def test_the_image_is_built_of_known_instructions():
    text = files()[IMAGE]
    joined = re.sub(r"\\\n", " ", text)
    known = {"FROM", "RUN", "COPY", "USER", "ENV", "VOLUME", "ENTRYPOINT", "CMD"}
    found = [line.split()[0] for line in joined.splitlines() if line and not line.startswith("#")]
    assert found[0] == "FROM"
    assert set(found) <= known
    assert "USER 10001" in text  # not root
    assert "--mount" not in text
    assert "numpy==2.4.6" in text


@pytest.mark.parametrize(
    ("name", "plain"),
    [("a b", "a-b"), ("../x", "x"), ("$HOME", "HOME"), ("`id`", "id"), ("é", "fleet"), ("...", "fleet"),
     ("-x", "x"), ('"', "fleet"), ("x\ny: z", "x-y-z"), ("{artifacts:path}", "artifacts-path")],
)  # fmt: skip
def test_names_of_people_do_no_harm(name, plain):
    assert files(name) == files(plain)
