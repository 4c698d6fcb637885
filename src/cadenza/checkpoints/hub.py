"""The Hugging Face hub and its cache on this machine.

huggingface_hub keeps the layout of the cache; the transfer is done here, because its own deletes
what a broken one had brought (2.x) and tries for minutes to reach a hub that is not there.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import threading
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from cadenza.errors import ModelDamaged, ModelError, ModelNotFound, OutputError

Progress = Callable[[int, int], None]  # bytes done, bytes in all

REACH_SECONDS = 1.5  # how long a hub may take to answer at all
STALL_SECONDS = 10.0  # how long an answer may pause
MAX_FAILURES = 3  # attempts in a row that bring nothing


class Unreachable(Exception):
    """The hub does not answer, or is not to be asked; the message says which."""


def cache_folder() -> Path:
    """Where downloads are kept (``HF_HUB_CACHE``, ``HF_HOME``)."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def cached(repo: str, revision: str | None, file: str = "config.json") -> Path | None:
    """The folder of a repository in the cache, whole or not; its name is the commit.

    ``file`` is one that the repository has for certain.
    """
    from huggingface_hub import constants, try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(
            repo, file, cache_dir=constants.HF_HUB_CACHE, revision=revision
        )
    except HFValidationError as error:
        raise ModelNotFound(f"{repo} is not a name that the hub allows: {error}") from error
    return Path(found).parent if isinstance(found, str) else None


def drop_damaged(folder: Path) -> None:
    """Remove those files of a cached repository that are not what their digest says.

    Raises:
        OutputError: a file that cannot be read or removed.
    """
    try:
        for link in folder.iterdir():
            blob = link.resolve()
            if blob.parent.name == "blobs" and blob.is_file() and not _intact(blob, blob.name):
                blob.unlink()
                link.unlink()
    except OSError as error:
        raise OutputError(f"the cache folder {folder} cannot be mended: {error}") from error


def _intact(file: Path, digest: str) -> bool:
    """Whether a file is what its digest says: the SHA-256 of large ones, the SHA-1 of small ones,
    most often git's, which counts a header in. Any other digest says nothing here."""
    with file.open("rb") as content:
        if re.fullmatch(r"[0-9a-f]{64}", digest):
            return hashlib.file_digest(content, "sha256").hexdigest() == digest
        if re.fullmatch(r"[0-9a-f]{40}", digest):
            data = content.read()
            header = b"blob %d\0" % len(data)
            return digest in (hashlib.sha1(kind + data).hexdigest() for kind in (header, b""))
    return True


def check_reachable() -> None:
    """Ask the hub for anything at all.

    Raises:
        Unreachable: no answer within :data:`REACH_SECONDS`, or the hub is switched off.
    """
    from huggingface_hub import constants

    for switch in ("CADENZA_OFFLINE", "HF_HUB_OFFLINE"):
        if os.environ.get(switch, "").lower() in {"1", "true", "yes", "on"}:
            raise Unreachable(f"{switch} is set")
    if constants.is_offline_mode():
        raise Unreachable("the hub is switched off")

    answer: list[Exception | None] = []
    # A thread, because looking up a host's name knows no time limit.
    probe = threading.Thread(target=lambda: answer.append(_knock()), daemon=True)
    probe.start()
    probe.join(REACH_SECONDS)
    if not answer:
        raise Unreachable(f"{constants.ENDPOINT} did not answer within {REACH_SECONDS} s")
    if answer[0] is not None:
        raise Unreachable(f"{constants.ENDPOINT} cannot be reached: {_line(answer[0])}")


def _knock() -> Exception | None:
    from huggingface_hub import constants, get_session

    try:
        get_session().head(constants.ENDPOINT, timeout=REACH_SECONDS)
    except Exception as error:  # whatever the transport raises means the same here
        return error
    return None


def fetch(
    repo: str,
    revision: str | None,
    choose: Callable[[Collection[str]], Sequence[str]],
    progress: Progress | None,
) -> Path:
    """Bring the files of ``repo`` that ``choose`` picks of all names into the cache.

    What an earlier, broken transfer has brought is not asked for again. Without ``progress`` a
    bar is drawn on a terminal.

    Raises:
        Unreachable: the hub does not answer.
        ModelNotFound: no such repository or revision, or one that may not be read.
        ModelError: the transfer broke off.
        ModelDamaged: a file did not arrive as it was sent.
        OutputError: no room, or a cache folder that cannot be written.
    """
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import (
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    check_reachable()
    try:
        info = HfApi().model_info(
            repo, revision=revision, files_metadata=True, timeout=STALL_SECONDS
        )
    except RevisionNotFoundError as error:
        raise ModelNotFound(f"{repo} has no revision {revision} on {constants.ENDPOINT}") from error
    except RepositoryNotFoundError as error:
        raise ModelNotFound(
            f"there is no {repo} on {constants.ENDPOINT}, or it is private or gated: "
            "check the name, or log in with `hf auth login`"
        ) from error
    except _transport_error() as error:
        raise Unreachable(f"{constants.ENDPOINT} did not help: {_line(error)}") from error

    sizes = {file.rfilename: file.size or 0 for file in info.siblings or []}
    chosen = choose(sizes)
    home = cache_folder() / f"models--{repo.replace('/', '--')}"
    try:
        blobs = home / "blobs"
        blobs.mkdir(parents=True, exist_ok=True)
        with _Meter(repo, sum(sizes[name] for name in chosen), progress) as meter:
            for name in chosen:
                _bring(repo, name, revision, str(info.sha), blobs, meter)
                meter.finish(sizes[name])
    except (_transport_error(), LocalEntryNotFoundError) as error:
        raise ModelError(f"fetching {repo} failed: {_line(error)}. {_AGAIN}") from error
    except OSError as error:
        raise OutputError(f"the cache folder {home} cannot be written: {error}") from error
    return home / "snapshots" / str(info.sha)


_AGAIN = "Run it again: what has arrived is kept"


def _bring(
    repo: str, name: str, revision: str | None, commit: str, blobs: Path, meter: _Meter
) -> None:
    """One file into the cache, under the name and in the place that huggingface_hub gives it."""
    from huggingface_hub import (
        get_hf_file_metadata,
        hf_hub_download,
        hf_hub_url,
        try_to_load_from_cache,
    )
    from huggingface_hub.utils import WeakFileLock  # type: ignore[attr-defined]

    present = try_to_load_from_cache(repo, name, cache_dir=cache_folder(), revision=commit)
    if not isinstance(present, str):
        url = hf_hub_url(repo, name, revision=commit)
        sent = get_hf_file_metadata(url, timeout=STALL_SECONDS)
        if sent.etag is None or sent.size is None:
            raise ModelError(f"{url} tells neither digest nor size, so it cannot be checked")
        if not re.fullmatch(r"[0-9A-Za-z-]+", sent.etag):  # it becomes the name of a file
            raise ModelError(f"{url} has the digest {sent.etag!r}, which is none: ask another hub")
        blob, part = blobs / sent.etag, blobs / f"{sent.etag}.part"
        with WeakFileLock(blobs / f"{sent.etag}.lock"):
            if not blob.exists():
                _transfer(url, part, sent.size, meter)
                _verify(part, sent.etag, sent.size, name)
                os.replace(part, blob)
    # Finds the content there, and only links it and notes which commit the revision was.
    hf_hub_download(repo, name, revision=revision, cache_dir=cache_folder())


def _transfer(url: str, part: Path, size: int, meter: _Meter) -> None:
    """Append to ``part`` what it lacks of ``size`` bytes."""
    from huggingface_hub import constants, get_session
    from huggingface_hub.utils import (  # type: ignore[attr-defined]
        build_hf_headers,
        hf_raise_for_status,
    )

    with part.open("ab") as file:
        if file.tell() > size:
            file.truncate(0)
        free = shutil.disk_usage(part.parent).free
        if size - file.tell() > free:
            raise OutputError(
                f"{part.parent} has {free / 1e9:.1f} GB of room, {size / 1e9:.1f} GB are needed: "
                "make room, or put the cache elsewhere with HF_HOME"
            )
        failures = 0
        while (start := file.tell()) < size:
            headers = build_hf_headers() | {
                "Range": f"bytes={start}-",
                "Accept-Encoding": "identity",
            }
            trouble: Exception | None = None
            try:
                with get_session().stream(
                    "GET", url, headers=headers, timeout=STALL_SECONDS
                ) as response:
                    hf_raise_for_status(response)
                    if response.status_code != 206:  # the whole file, whatever was asked for
                        file.truncate(0)
                    for chunk in response.iter_bytes():
                        file.write(chunk)
                        meter.show(file.tell())
            except _transport_error() as error:
                trouble = error
            failures = failures + 1 if file.tell() <= start else 0
            if failures == MAX_FAILURES:
                raise ModelError(
                    f"the transfer from {constants.ENDPOINT} broke off after {file.tell():,} of "
                    f"{size:,} bytes{f' ({_line(trouble)})' if trouble else ''}. {_AGAIN}"
                ) from trouble


def _verify(part: Path, etag: str, size: int, name: str) -> None:
    """Large files are named by their SHA-256; the small ones by git, which says no more here."""
    sha256 = len(etag) == 64
    if part.stat().st_size != size or (sha256 and not _intact(part, etag)):
        part.unlink()
        raise ModelDamaged(f"{name} did not arrive as it was sent: run it again")


def _line(error: Exception) -> str:
    """The first line of what an error says; httpx adds others that help nobody."""
    return (str(error) or type(error).__name__).splitlines()[0]


def _transport_error() -> type[Exception]:
    """What httpx raises, or httpx2, whichever this huggingface_hub was built on."""
    from huggingface_hub.errors import HfHubHTTPError

    base = HfHubHTTPError.__bases__[0]
    assert issubclass(base, Exception)
    return base


class _Meter:
    """Adds up the bytes of several files for the one who asked, or for a bar on a terminal."""

    def __init__(self, what: str, total: int, progress: Progress | None) -> None:
        from huggingface_hub.utils import tqdm  # type: ignore[attr-defined]

        self._total, self._finished, self._progress = total, 0, progress
        # ``None`` draws on terminals only
        self._bar = tqdm(  # type: ignore[no-untyped-call]
            total=total,
            desc=what,
            unit="B",
            unit_scale=True,
            disable=True if progress is not None else None,
        )

    def __enter__(self) -> _Meter:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def show(self, current: int) -> None:
        """``current`` bytes of the present file are here."""
        done = self._finished + current
        self._bar.update(done - self._bar.n)
        if self._progress is not None:
            self._progress(done, self._total)

    def finish(self, size: int) -> None:
        """The present file is complete."""
        self.show(size)
        self._finished += size
