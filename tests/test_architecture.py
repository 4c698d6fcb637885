"""The rules of the house, read from the imports themselves.

A module imports only from rows above its own, or from its own package. A new module has to be
given its place here.
"""

import ast
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "cadenza"

# Each row may import what stands in the rows before it. A name stands for a file or a folder.
LAYERS = (
    {"errors"},
    {"types", "tempowords"},
    {
        "delay",
        "noise",
        "sampling",
        "prompting",
        "framecodec",
        "codecstream",
        "tune",
        "tokens",
        "files",
        "tags",
        "spectrum",
        "devices",
        "pages",
    },
    {"audio"},
    {"request", "states", "speaker", "beats"},
    {"checkpoints", "text", "melody", "codec", "engine", "take", "midi"},
    {"streaming"},
    {"machine"},
    {"torch_machine", "openvino"},
    {"studio"},
    {"model", "stems", "show"},
    {"recipes", "finetune", "evaluation"},
    {"sessions"},
    {"jobs", "client"},
    {"ui"},
    {"server"},
    {"cli"},
    {"__init__", "__main__"},
)
ROW = {name: row for row, names in enumerate(LAYERS) for name in names}

# Each is imported in one module only, inside a function, and its absence is a MissingPackage.
OPTIONAL = {"basic_pitch", "demucs", "librosa", "matplotlib", "mido", "onnxruntime", "sounddevice"}
OPTIONAL |= {"fadtk", "fsspec", "openvino", "peft", "ray"}

# The folders of the service are loaded as a whole or not at all, so these may be imported plainly,
# but in these folders only; from elsewhere the folders are imported inside functions.
SERVICE = {
    "sqlalchemy": {"jobs"},
    "alembic": {"jobs"},
    "pydantic": {"jobs", "server"},
    "fastapi": {"server"},
    "starlette": {"server"},
    "uvicorn": {"server"},
    "prometheus_client": {"server"},
}

MODULES = sorted(PACKAGE.rglob("*.py"))


def part(module: Path) -> str:
    """The name that stands in ``LAYERS`` for this file."""
    return module.relative_to(PACKAGE).with_suffix("").parts[0]


def imports(node: ast.AST) -> Iterator[str]:
    """The full dotted names that ``node`` and everything inside it import."""
    for child in ast.walk(node):
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, f"line {child.lineno}: relative imports hide the layer"
            if child.module == "cadenza":
                yield from (f"cadenza.{alias.name}" for alias in child.names)
            else:
                yield str(child.module)


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_only_from_lower_layers(module: Path) -> None:
    assert part(module) in ROW, f"give {module.name} its row in LAYERS"
    for name in imports(ast.parse(module.read_text())):
        if name.startswith("cadenza."):
            target = name.split(".")[1]
            assert target in ROW, f"{name} is not a module"
            assert target == part(module) or ROW[target] < ROW[part(module)], (
                f"{part(module)} imports {target}, which is not below it"
            )


def test_the_engine_sees_neither_text_nor_waveforms() -> None:
    for module in (PACKAGE / "engine").rglob("*.py"):
        seen = set(imports(ast.parse(module.read_text())))
        assert not seen & {"cadenza.audio", "cadenza.tags", "cadenza.prompting", "soundfile"}


def test_notes_and_stems_never_see_the_engine() -> None:
    for folder in ("midi", "stems"):
        for module in (PACKAGE / folder).rglob("*.py"):
            seen = set(imports(ast.parse(module.read_text())))
            assert not any(name.startswith("cadenza.engine") for name in seen)


def test_optional_packages_are_imported_lazily_and_in_one_place() -> None:
    places = defaultdict(set)
    for module in MODULES:
        tree = ast.parse(module.read_text())
        for name in imports(tree):
            places[name.split(".")[0]].add(module)
        for statement in tree.body:
            if isinstance(statement, ast.Import | ast.ImportFrom):
                eager = {name.split(".")[0] for name in imports(statement)}
                assert not eager & OPTIONAL, f"{module.name} imports {eager} when it is imported"
    for name in OPTIONAL:
        assert len(places[name]) <= 1, f"{name} is imported in {places[name]}"


def test_the_packages_of_the_service_stay_inside_it() -> None:
    for module in MODULES:
        tree = ast.parse(module.read_text())
        used = {name.split(".")[0] for name in imports(tree)} & SERVICE.keys()
        wrong = {name for name in used if part(module) not in SERVICE[name]}
        assert not wrong, f"{module.name} imports {wrong}"
        for statement in tree.body:
            if isinstance(statement, ast.Import | ast.ImportFrom) and part(module) in ("cli",):
                eager = set(imports(statement))
                assert not any(
                    name.startswith(("cadenza.jobs", "cadenza.server")) for name in eager
                )


@pytest.mark.parametrize(
    "statement",
    ["import cadenza", "from cadenza.cli import main", "from cadenza import enhance, CadenzaError"],
)
def test_light_imports_load_neither_torch_nor_transformers(statement: str) -> None:
    code = (
        f"{statement}\nimport sys\nprint(*sorted({{'torch', 'transformers'}} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_the_public_names_are_what_is_visible() -> None:
    import cadenza

    assert len(cadenza.__all__) <= 13
    assert cadenza.__all__ == sorted(cadenza.__all__)
    assert set(dir(cadenza)) == {*cadenza.__all__, "__version__"}
    for name in cadenza.__all__:
        assert getattr(cadenza, name).__module__.startswith("cadenza.")
