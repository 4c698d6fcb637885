"""Dockerfile and compose.yaml, held to the package as far as that goes without containers."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import typer
import yaml

from cadenza.cli.app import app

ROOT = Path(__file__).parent.parent
DOCKERFILE = (ROOT / "Dockerfile").read_text()
SERVICES = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"] == "cadenza"}


def instruction(name: str) -> str:
    [found] = re.findall(rf"^{name} (.+)$", DOCKERFILE, re.MULTILINE)
    return str(found)


def parsed(command: list[str]) -> tuple[Any, dict[str, Any]]:
    """The command of ``cadenza`` that these arguments name, and what its options are then."""
    group: Any = typer.main.get_command(app)
    found = group.commands[command[0]]
    return found, found.make_context(command[0], command[1:]).params


def test_what_the_containers_start_listens_where_it_is_reached() -> None:
    assert json.loads(instruction("ENTRYPOINT")) == ["cadenza"]
    alone = json.loads(instruction("CMD"))
    commands = [alone, *(service["command"] for service in OURS.values())]
    assert sorted(command[0] for command in commands) == ["serve", "serve", "worker"]
    for command in commands:
        assert parsed(command)[1]["host"] == "0.0.0.0"
    port = parsed(alone)[1]["port"]
    assert int(instruction("EXPOSE")) == port == parsed(OURS["server"]["command"])[1]["port"]
    assert OURS["server"]["ports"] == [f"{port}:{port}"]


def test_what_the_containers_are_told_is_read() -> None:
    told = set(re.findall(r"CADENZA_\w+", instruction("ENV")))
    for service in OURS.values():
        told |= {name for name in service["environment"] if name.startswith("CADENZA_")}
        found, _ = parsed(service["command"])
        assert told <= {option.envvar for option in found.params}
    assert told == {"CADENZA_FOLDER", "CADENZA_DATABASE"}


def test_the_build_is_sent_what_the_package_is_made_from_and_no_more() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    made_from = {"pyproject.toml", project["project"]["readme"]}
    made_from |= set(project["project"]["license-files"])
    for package in project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]:
        made_from.add(Path(package).parts[0])
    read = set(re.findall(r"/source/([\w.]+)", DOCKERFILE))
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert {line[1:] for line in lines if line.startswith("!")} == made_from | read
    assert "*" in lines
