"""Results and uploads in a place that many machines reach: an object store or a shared folder.

The folder of each machine holds what is in the making there, and copies of what it read lately.
"""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from cadenza.errors import MissingPackage, NotFound, OptionError, OutputError, Unavailable
from cadenza.files import replacing
from cadenza.jobs.folder import Folder, checked, old
from cadenza.jobs.queue import Job

log = logging.getLogger(__name__)


class RemoteFolder(Folder):
    """A :class:`Folder` whose results and uploads lie at ``url``, by the same names.

    What is written there counts once the table says so, so nothing has to be renamed, listed or
    locked there. What a process that was killed leaves goes with its job.

    Args:
        url: as fsspec has it: ``s3://bucket/path``, ``file:///mnt/shared``, …

    Raises:
        MissingPackage: fsspec is not installed.
        OptionError: not such a URL, or it needs a package that is not installed.
        OutputError: nothing can be written there.
    """

    max_bytes = 20 << 40

    def __init__(self, root: Path, url: str) -> None:
        super().__init__(root)
        self._files, self._base = _opened(url)
        (self.root / "copies").mkdir(exist_ok=True)
        trial = f"{self._base}/.cadenza-{secrets.token_hex(6)}"
        with _storing():
            self._files.makedirs(self._base, exist_ok=True)
            self._files.pipe_file(trial, b"")
            self._files.rm_file(trial)

    def publish(self, job: Job) -> None:
        there = self._place(job, job.attempt)
        with _storing():
            self._files.makedirs(there, exist_ok=True)
            for file in self.attempt(job).iterdir():
                self._files.put_file(str(file), f"{there}/{file.name}")

    def keep(self, job: Job, counts: bool) -> None:
        super().keep(job, counts=False)
        for attempt in range(1, job.attempt + (not counts)):
            self._remove(self._place(job, attempt))

    def result(self, job: Job, name: str) -> Path:
        job.check_file(name)
        return self._copy(f"{self._place(job, job.attempt)}/{name}", f"{job.id}-{name}")

    def keep_upload(self, part: Path, id: str) -> None:
        with _storing():
            self._files.makedirs(f"{self._base}/uploads", exist_ok=True)
            self._files.put_file(str(part), self._upload(id))

    def upload(self, id: str) -> Path:
        """See :meth:`Folder.upload`.

        Raises:
            NotFound: not an id, or it has expired.
            Unavailable: the place cannot be reached.
        """
        return self._copy(self._upload(id), f"{id}.wav")

    def remove(self, jobs: Sequence[str], uploads: Sequence[str]) -> None:
        super().remove(jobs, ())
        for id in jobs:
            self._remove(f"{self._base}/results/{checked(id)}")
        for id in uploads:
            self._remove(self._upload(id))

    def _place(self, job: Job, attempt: int) -> str:
        return f"{self._base}/results/{checked(job.id)}/{attempt}"

    def _upload(self, id: str) -> str:
        return f"{self._base}/uploads/{checked(id)}.wav"

    def _copy(self, there: str, name: str) -> Path:
        """A copy here, which later readers find; those that nobody asks for go.

        Raises:
            NotFound: it is not there.
            Unavailable: the place cannot be reached.
        """
        copies = self.root / "copies"
        for forgotten in old(copies):
            forgotten.unlink(missing_ok=True)
        copy = copies / name
        with suppress(FileNotFoundError):
            os.utime(copy)
            return copy
        with replacing(copy) as part:
            try:
                self._files.get_file(there, str(part))
            except FileNotFoundError as error:
                raise NotFound("the file has gone") from error
            except Exception as error:  # each store has errors of its own
                log.warning("%s cannot be read: %s", there, error)
                raise Unavailable(
                    "the files cannot be reached now: try again in a while"
                ) from error
        return copy

    def _remove(self, there: str) -> None:
        """What cannot be removed now stays; it is not shown to anybody."""
        try:
            self._files.invalidate_cache()  # others write there, too
            self._files.rm(there, recursive=True)
        except FileNotFoundError:
            pass
        except Exception as error:
            log.warning("%s cannot be removed: %s", there, error)


def _opened(url: str) -> tuple[Any, str]:
    """A filesystem, and the path in it."""
    try:
        import fsspec
    except ImportError as error:
        raise MissingPackage("fsspec", "pip install 'cadenza[ray]'") from error
    if "://" not in url:
        raise OptionError(f"results lie at a URL, s3://… or file:///…, not at {url!r}")
    try:
        files, base = fsspec.url_to_fs(url)
    except (ImportError, ValueError) as error:
        raise OptionError(f"results cannot lie at {url!r}: {error}") from error
    return files, base.rstrip("/")


@contextmanager
def _storing() -> Iterator[None]:
    try:
        yield
    except Exception as error:  # each store has errors of its own
        raise OutputError(f"the place of results cannot be written to: {error}") from error
