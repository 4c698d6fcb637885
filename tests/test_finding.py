"""Finding models: names, folders, the hub's cache, and the hub itself (one on this machine)."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cadenza.checkpoints import CATALOGUE, list_models, resolve, terms
from cadenza.errors import ModelDamaged, ModelNotFound
from tests.hubserver import COMMIT, Hub, serve

REPO = "someone/tiny-music"


def ask(
    name: str, home: Path, hub: str = "http://127.0.0.1:9", offline: bool = False, **env: str
) -> dict[str, Any]:
    """``resolve`` in a process of its own, whose hub and cache are set as a person sets them.

    The time limit is no measurement: it stands for the minutes that a client left to its own
    retries would take.
    """
    program = """
import json, sys
from cadenza.checkpoints import resolve
from cadenza.errors import CadenzaError
steps = []
try:
    found = resolve(sys.argv[1], offline=sys.argv[2] == "True",
                    progress=lambda *step: steps.append(step))
    answer = {"folder": str(found.folder), "revision": found.revision, "licence": found.licence,
              "sha256": found.identity.sha256, "steps": steps}
except CadenzaError as error:
    answer = {"error": type(error).__name__, "message": str(error)}
answer["heavy"] = sorted({"torch", "transformers"} & set(sys.modules))
print(json.dumps(answer))
"""
    clean = {key: value for key, value in os.environ.items() if "OFFLINE" not in key}
    done = subprocess.run(
        [sys.executable, "-c", program, name, str(offline)],
        env=clean | {"HF_ENDPOINT": hub, "HF_HOME": str(home)} | env,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert done.stderr == ""
    answer: dict[str, Any] = json.loads(done.stdout)
    assert answer["heavy"] == []
    return answer


@pytest.fixture
def hub(tiny_text: Path) -> Any:
    with serve(tiny_text, REPO, "pytorch_model.bin", "state_dict.bin", "flax.msgpack") as hub:
        yield hub


def weights_sha(folder: Path) -> str:
    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


def test_fetches_what_is_needed_then_finds_it_without_the_hub(
    hub: Hub, tiny_text: Path, tmp_path: Path
) -> None:
    fetched = ask(REPO, tmp_path, hub.url)
    folder = Path(fetched["folder"])
    assert sorted(path.name for path in folder.iterdir()) == sorted(os.listdir(tiny_text))
    for path in tiny_text.iterdir():
        assert (folder / path.name).read_bytes() == path.read_bytes()
    assert fetched["revision"] == COMMIT == folder.name
    assert fetched["sha256"] == weights_sha(tiny_text)
    done, total = fetched["steps"][-1]
    assert done == total == sum(path.stat().st_size for path in tiny_text.iterdir())
    assert [step[0] for step in fetched["steps"]] == sorted(s[0] for s in fetched["steps"])

    asked = len(hub.asked)
    for again in (
        ask(REPO, tmp_path, hub.url),
        ask(REPO, tmp_path, hub.url, offline=True),
        ask(REPO, tmp_path, hub.url, CADENZA_OFFLINE="1"),
        ask(f"{REPO}@{COMMIT}", tmp_path),
    ):
        assert again["folder"] == fetched["folder"] and again["sha256"] == fetched["sha256"]
    assert len(hub.asked) == asked


def test_what_huggingface_hub_itself_fetched_is_found(hub: Hub, tmp_path: Path) -> None:
    clean = {key: value for key, value in os.environ.items() if "OFFLINE" not in key}
    program = (
        "import sys, huggingface_hub as h\n"
        "for name in sys.argv[2:]: h.hf_hub_download(sys.argv[1], name)"
    )
    subprocess.run(
        [sys.executable, "-c", program, REPO, *hub.files],
        env=clean | {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path)},
        check=True,
        capture_output=True,
    )
    assert ask(REPO, tmp_path, offline=True)["revision"] == COMMIT


def test_a_broken_transfer_goes_on_where_it_stopped(
    hub: Hub, tiny_text: Path, tmp_path: Path
) -> None:
    """In one call while it gets on, and in the next call when it did not."""
    size = (tiny_text / "model.safetensors").stat().st_size
    hub.breaks["model.safetensors"] = size // 3
    assert ask(REPO, tmp_path, hub.url)["sha256"] == weights_sha(tiny_text)
    starts = [0, *(size // 3 * n for n in (1, 2, 3) if size // 3 * n < size)]
    assert hub.ranges("model.safetensors") == [f"bytes={start}-" for start in starts]

    home = tmp_path / "other"
    hub.asked.clear()
    hub.breaks["model.safetensors"] = 0
    broken = ask(REPO, home, hub.url)
    assert broken["error"] == "ModelError" and "what has arrived is kept" in broken["message"]
    part = next(home.rglob("*.part"))
    part.write_bytes((tiny_text / "model.safetensors").read_bytes()[:1000])
    hub.breaks.clear()
    hub.asked.clear()
    assert ask(REPO, home, hub.url)["sha256"] == weights_sha(tiny_text)
    assert hub.ranges("model.safetensors") == ["bytes=1000-"]
    assert hub.ranges("config.json") == []
    assert not list(home.rglob("*.part"))


def test_what_arrives_damaged_is_thrown_away(hub: Hub, tmp_path: Path) -> None:
    hub.corrupt.add("model.safetensors")
    answer = ask(REPO, tmp_path, hub.url)
    assert answer["error"] == "ModelDamaged"
    assert "model.safetensors did not arrive as it was sent" in answer["message"]
    assert not list(tmp_path.rglob("*.part"))
    hub.corrupt.clear()
    assert "folder" in ask(REPO, tmp_path, hub.url)


def test_a_digest_that_leads_out_of_the_cache_is_refused(hub: Hub, tmp_path: Path) -> None:
    hub.etags["config.json"] = "../../../../outside"
    answer = ask(REPO, tmp_path / "home", hub.url)
    assert answer["error"] == "ModelError" and "'../../../../outside'" in answer["message"]
    assert [path.name for path in tmp_path.iterdir()] == ["home"]
    assert not list(tmp_path.rglob("outside*"))


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_getting_a_model_again_mends_it(
    hub: Hub, tiny_text: Path, tmp_path: Path, name: str
) -> None:
    folder = Path(ask(REPO, tmp_path, hub.url)["folder"])
    blob = (folder / name).resolve()
    blob.write_bytes(blob.read_bytes()[:-9])
    hub.asked.clear()
    clean = {key: value for key, value in os.environ.items() if "OFFLINE" not in key}
    for _ in range(2):
        subprocess.run(
            [sys.executable, "-m", "cadenza", "models", "get", REPO],
            env=clean | {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path)},
            capture_output=True,
            check=True,
        )
        assert (folder / name).read_bytes() == (tiny_text / name).read_bytes()
    assert hub.ranges(name) == ["bytes=0-"]
    assert sum(method == "GET" and "/resolve/" in path for method, path, _ in hub.asked) == 1


def test_a_repository_that_lacks_its_own_shards_is_named(hub: Hub, tmp_path: Path) -> None:
    del hub.files["model.safetensors"], hub.files["pytorch_model.bin"]
    index = {"weight_map": {"a": "weights-a.safetensors"}}
    hub.files["model.safetensors.index.json"] = json.dumps(index).encode()
    hub.files["weights-a.safetensors"] = b"not asked for"
    answer = ask(REPO, tmp_path, hub.url)
    assert answer["error"] == "ModelDamaged"
    assert f"{REPO} itself lacks weights-a.safetensors" in answer["message"]


def test_revisions(hub: Hub, tmp_path: Path) -> None:
    assert ask(f"{REPO}@v1", tmp_path, hub.url)["revision"] == COMMIT
    answer = ask(f"{REPO}@v9", tmp_path, hub.url)
    assert answer["error"] == "ModelNotFound" and "no revision v9" in answer["message"]
    # Another revision that was fetched does not stand in for the one that was asked for.
    assert ask(f"{REPO}@v2", tmp_path, offline=True)["error"] == "ModelNotFound"


def test_a_repository_of_something_else_is_refused_before_it_is_fetched(
    hub: Hub, tmp_path: Path
) -> None:
    del hub.files["config.json"]
    answer = ask(REPO, tmp_path, hub.url)
    assert answer["error"] == "ModelNotFound" and "audiocraft's own format" in answer["message"]
    assert hub.ranges("model.safetensors") == []
    answer = ask("someone/nothing", tmp_path, hub.url)
    assert answer["error"] == "ModelNotFound" and "there is no someone/nothing" in answer["message"]


@pytest.mark.parametrize("reason", ["refused", "silent", "offline", "CADENZA_OFFLINE", "unknown"])
def test_absent_and_no_hub_is_answered_at_once(reason: str, tmp_path: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()  # takes the connection and never answers
        hubs = {
            "silent": f"http://127.0.0.1:{silent.getsockname()[1]}",
            "unknown": "http://hub.invalid",
        }
        env = {"CADENZA_OFFLINE": "1"} if reason == "CADENZA_OFFLINE" else {}
        answer = ask(
            "small",
            tmp_path,
            hubs.get(reason, "http://127.0.0.1:9"),
            offline=reason == "offline",
            **env,
        )
    assert answer["error"] == "ModelNotFound"
    for part in (
        "small (facebook/musicgen-small) is not on this machine",
        str(tmp_path / "hub"),
        "cadenza models get small",
    ):
        assert part in answer["message"]


def test_half_a_download_is_named_as_such(hub: Hub, tmp_path: Path) -> None:
    folder = Path(ask(REPO, tmp_path, hub.url)["folder"])
    (folder / "tokenizer.json").unlink()
    answer = ask(REPO, tmp_path, offline=True)
    assert answer["error"] == "ModelNotFound" and "is only in part" in answer["message"]
    assert "folder" in ask(REPO, tmp_path, hub.url)


def test_folders(tiny_text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = resolve(tiny_text)
    assert (found.folder, found.revision, found.licence) == (tiny_text, None, "unknown")
    assert found.identity.sha256 == weights_sha(tiny_text)

    copy = tmp_path / "small"
    shutil.copytree(tiny_text, copy)
    (copy / "README.md").write_text("---\nlicense: cc-by-nc-4.0\ntags: []\n---\n# Model\n")
    monkeypatch.chdir(tmp_path)
    assert resolve("./small").folder == copy
    assert resolve("./small").licence == "cc-by-nc-4.0"

    (copy / "tokenizer.json").unlink()
    (copy / "model.safetensors").unlink()
    with pytest.raises(ModelDamaged, match=r"lacks tokenizer\.json, model\.safetensors"):
        resolve(copy)
    with pytest.raises(ModelNotFound, match="is a file"):
        resolve(copy / "config.json")
    with pytest.raises(ModelNotFound, match="there is no folder"):
        resolve("./nothing")
    (copy / "state_dict.bin").touch()
    with pytest.raises(ModelDamaged, match="audiocraft's own format"):
        resolve(copy)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("smal", "did you mean small"),
        ("", "choose one of nano, small"),
        ("bark", "choose one of"),
        ("nano@v2", "has no revisions"),
        ("a/b/c", "no folder"),
        ("-/--x..y", "not a name that the hub allows"),
        ("~nobody-of-this-name/model", "cannot be opened .*home directory"),
        ("x" * 5000, r"x…' cannot be opened \(File name too long\)"),
        ("a\0b", "cannot be opened .*null"),
    ],
)
def test_unknown_names_are_answered_with_what_there_is(name: str, hint: str) -> None:
    with pytest.raises(ModelNotFound, match=hint):
        resolve(name, offline=True)


def test_the_list_has_every_name_with_its_licence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    rows = {row.entry.name: row for row in list_models()}
    assert list(rows) == list(CATALOGUE) and len(rows) == 11
    for name, row in rows.items():
        if name != "nano":
            assert (row.folder, row.size) == (None, 0)
            assert row.entry.repo == f"facebook/musicgen-{name}"
            assert terms(row.entry.licence) == "CC-BY-NC-4.0: not for commercial use"
            assert row.entry.channels == (2 if name.startswith("stereo") else 1)
            assert row.entry.family == ("melody" if "melody" in name else "text")
    assert terms(rows["nano"].entry.licence) == "Apache-2.0"


def test_the_list_shows_what_is_on_disk(tiny_text: Path, tmp_path: Path) -> None:
    with serve(tiny_text, "facebook/musicgen-small") as hub:
        folder = ask("small", tmp_path, hub.url)["folder"]
    program = (
        "from cadenza.checkpoints import list_models\n"
        "print(*(f'{r.entry.name}|{r.folder}|{r.size}' for r in list_models() "
        "if r.folder and r.entry.repo))"
    )
    listed = subprocess.check_output(
        [sys.executable, "-c", program], env=os.environ | {"HF_HOME": str(tmp_path)}, text=True
    )
    size = sum(path.stat().st_size for path in tiny_text.iterdir())
    assert listed.strip() == f"small|{folder}|{size}"
