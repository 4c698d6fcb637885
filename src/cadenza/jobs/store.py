"""All that the service remembers, opened together: what a server and a worker both begin with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cadenza.jobs.access import Keys
from cadenza.jobs.database import Database
from cadenza.jobs.folder import Folder
from cadenza.jobs.queue import JobQueue
from cadenza.jobs.remote import RemoteFolder
from cadenza.jobs.uploads import Uploads
from cadenza.jobs.workers import Workers

MAX_AGE = 7 * 86_400.0  # seconds that results and uploads are kept


@dataclass(frozen=True)
class Store:
    database: Database
    folder: Folder
    queue: JobQueue
    uploads: Uploads
    keys: Keys
    workers: Workers

    @classmethod
    def open(
        cls,
        root: Path,
        url: str | None = None,
        results: str | None = None,
        *,
        max_queued: int = 1000,
    ) -> Store:
        """Open a folder and its database, both made if they are not there.

        Args:
            root: results and uploads, and the database unless ``url`` is given.
            url: of another database, see :class:`Database`.
            results: another place for results and uploads, see :class:`RemoteFolder`.

        Raises:
            OutputError: the folder, or the place of results, cannot be written to.
            OptionError: not the URL of a database, or of a place of results, or the folder is that
                of another database.
            Unavailable: the database cannot be reached.
        """
        folder = Folder(root) if results is None else RemoteFolder(root, results)
        database = Database(url or f"sqlite:///{folder.root}/cadenza.db")
        database.migrate()
        folder.claim(database.identity())
        queue = JobQueue(database, max_queued=max_queued)
        uploads = Uploads(database, folder)
        return cls(database, folder, queue, uploads, Keys(database), Workers(database))

    def tidy(self, max_age: float = MAX_AGE, max_bytes: int | None = None) -> None:
        """Let old results and uploads go, and what killed processes left behind.

        Args:
            max_bytes: of all results together; None is what the folder holds.
        """
        most = self.folder.max_bytes if max_bytes is None else max_bytes
        self.folder.remove(self.queue.expire(max_age, most), self.uploads.expire(max_age))
        self.sweep()

    def sweep(self) -> None:
        """Remove what killed processes left behind on this machine."""
        self.folder.sweep(self.queue.known, self.uploads.known)
