"""Where results and uploads lie. Only ids become paths, and only ids that look like ours.

::

    results/<job>/<attempt>/…   what one attempt wrote; the table says which attempt counts
    uploads/<upload>.wav        decoded sound, 32-bit float
    incoming/                   what is being received or decoded
    database                    of which database this is the folder
    scratch/                    what jobs need meanwhile
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from cadenza.errors import NotFound, OptionError, OutputError
from cadenza.files import check_place, replacing
from cadenza.jobs.queue import Job

_ID = re.compile(r"[0-9a-f]{32}")
ABANDONED_SECONDS = 3600.0  # after which what belongs to nothing may go


class Folder:
    """The files of the service under ``root``, which is made if it is not there.

    Raises:
        OutputError: it cannot be made or written to.
    """

    max_bytes = 20 << 30  # of all results together

    def __init__(self, root: Path) -> None:
        self.root = root.expanduser().absolute()
        try:
            for name in ("results", "uploads", "incoming", "scratch"):
                (self.root / name).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot make {self.root}: {error.strerror or error}") from error
        check_place(self.root / "results" / "file")

    def claim(self, database: str) -> None:
        """Be the folder of this database, and of no other: what it does not know is swept away.

        Raises:
            OptionError: it is that of another one.
            OutputError: it cannot be written to.
        """
        place = self.root / "database"
        if not place.exists():
            with replacing(place) as part:
                part.write_text(database)
        if place.read_text() != database:
            raise OptionError(
                f"{self.root} holds the results of another database, and they would be removed: "
                f"choose another folder, or remove {place} to let them go"
            )

    @property
    def incoming(self) -> Path:
        return self.root / "incoming"

    @property
    def scratch(self) -> Path:
        return self.root / "scratch"

    def attempt(self, job: Job) -> Path:
        """Where the attempt that ``job`` was leased for writes."""
        return self.root / "results" / checked(job.id) / str(job.attempt)

    def publish(self, job: Job) -> None:
        """Let everybody who may fetch results reach what the attempt wrote: here they can already.

        Raises:
            OutputError: it cannot be stored.
        """

    def keep(self, job: Job, counts: bool) -> None:
        """Remove what earlier attempts left, and this one's files unless they are the result."""
        folder = self.attempt(job).parent
        for place in folder.glob("*"):
            if int(place.name) < job.attempt or (place == self.attempt(job) and not counts):
                shutil.rmtree(place, ignore_errors=True)
        with suppress(OSError):  # the result is in it
            folder.rmdir()

    def result(self, job: Job, name: str) -> Path:
        """One file of a job that is done.

        Raises:
            NotFound: the job has no such file, or it has gone.
        """
        job.check_file(name)
        place = self.attempt(job) / name
        if not place.is_file():
            raise NotFound(f"that file of job {job.id} has gone")
        return place

    def keep_upload(self, part: Path, id: str) -> None:
        """Take what was decoded into ``part``, which is then not there any more."""
        os.replace(part, self.upload(id))

    def upload(self, id: str) -> Path:
        """The samples of an upload.

        Raises:
            NotFound: not an id.
        """
        return self.root / "uploads" / f"{checked(id)}.wav"

    def remove(self, jobs: Sequence[str], uploads: Sequence[str]) -> None:
        """Remove what the tables have forgotten."""
        for id in jobs:
            shutil.rmtree(self.root / "results" / checked(id), ignore_errors=True)
        for id in uploads:
            self.upload(id).unlink(missing_ok=True)

    def sweep(
        self,
        known_jobs: Callable[[Sequence[str]], Collection[str]],
        known_uploads: Callable[[Sequence[str]], Collection[str]],
    ) -> None:
        """Remove what processes left behind that were killed in the middle of something."""
        results = [place.name for place in old(self.root / "results")]
        uploads = [place.stem for place in old(self.root / "uploads")]
        kept = {*known_jobs(results), *known_uploads(uploads)}
        self.remove(
            [id for id in results if id not in kept and _ID.fullmatch(id)],
            [id for id in uploads if id not in kept and _ID.fullmatch(id)],
        )
        for place in old(self.incoming):
            place.unlink(missing_ok=True)
        for place in old(self.scratch):
            shutil.rmtree(place, ignore_errors=True)


def old(folder: Path) -> Iterator[Path]:
    """What in ``folder`` was not touched for long."""
    for place in folder.iterdir():
        try:
            age = time.time() - place.stat().st_mtime
        except FileNotFoundError:
            continue  # somebody else was quicker
        if age > ABANDONED_SECONDS:
            yield place


def checked(id: str) -> str:
    """An id that may become a part of a path."""
    if not _ID.fullmatch(id):
        raise NotFound(f"{id!r} is not an id of this service")
    return id
