"""Everything Cadenza raises on purpose.

Every message says what was wrong, with which value, and what to do about it;
the command prints it as one line.

::

    CadenzaError
    ├── PromptError        a text that cannot be used as a prompt
    ├── OptionError        an option out of its range, or two that exclude each other
    ├── AudioError         a sound that cannot be read or used
    ├── OutputError        a place where the result cannot be written
    ├── RecipeError        a file without a recipe, or one that cannot be followed here
    ├── SessionError       a session folder that is in the way, half made or edited into nonsense
    ├── DeviceError        a device or precision that this machine does not have
    ├── MissingPackage     an optional part that is not installed
    ├── Cancelled          the work was stopped by the one who asked for it
    ├── ServiceError
    │   ├── NotFound       no such job, file or upload, or another person's
    │   ├── Conflict       an idempotency key that was used for another request
    │   ├── Busy           the queue or a limit is full; ``retry_after`` seconds say when to ask
    │   ├── AccessDenied   a missing, unknown or revoked key, or one that may not do this
    │   └── Unavailable    the database, a worker or the server cannot be reached now
    └── ModelError
        ├── ModelNotFound  no such checkpoint on disk, in the cache or on the hub
        ├── ModelDamaged   a file that is truncated, foreign or unsafe to open
        └── ModelMismatch  parts of a checkpoint that do not fit each other
"""


class CadenzaError(Exception):
    """The root: ``except CadenzaError`` catches all that Cadenza raises on purpose."""


class PromptError(CadenzaError):
    """A text that cannot be used as a prompt (empty, too long)."""


class OptionError(CadenzaError, ValueError):
    """An option out of its range, or two options that exclude each other."""


class AudioError(CadenzaError):
    """A sound that cannot be read or used (not audio, empty, silent, too long)."""


class OutputError(CadenzaError):
    """A place where the result cannot be written (absent, read-only, full)."""


class RecipeError(CadenzaError):
    """A file without a recipe, or a recipe that cannot be followed here."""


class SessionError(CadenzaError):
    """A session that cannot be used: absent, half made, in the way, or edited into nonsense."""


class DeviceError(CadenzaError):
    """A device or a precision that this machine does not have."""


class MissingPackage(CadenzaError):
    """An optional part is not installed; the message holds the command that installs it."""

    def __init__(self, what: str, install: str) -> None:
        super().__init__(f"{what} is not installed. Install it with: {install}")


class Cancelled(CadenzaError):
    """The work was stopped by the one who asked for it."""


class ServiceError(CadenzaError):
    """The service cannot do what was asked, or not now."""


class NotFound(ServiceError):
    """No such job, file or upload, or it is another person's: the two look the same."""


class Conflict(ServiceError):
    """An idempotency key was used before, for another request."""


class Busy(ServiceError):
    """As much waits or runs as may; ask again after ``retry_after`` seconds."""

    retry_after = 5.0

    def __init__(self, message: str, retry_after: float = 5.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class AccessDenied(ServiceError):
    """A key is missing, unknown or revoked, or may not do this."""


class Unavailable(ServiceError):
    """The database, a worker or the server cannot be reached now; it may be later."""


class ModelError(CadenzaError):
    """A checkpoint that cannot be used."""


class ModelNotFound(ModelError):
    """No such checkpoint on disk, in the cache, or on a hub that may be asked."""


class ModelDamaged(ModelError):
    """A file of a checkpoint is truncated, foreign, or unsafe to open."""


class ModelMismatch(ModelError):
    """Parts of a checkpoint do not fit each other; the message names both and their numbers."""


def rebuilt(kind: str, message: str) -> CadenzaError:
    """An error that another process told of, by the name of its class and its message."""
    known = globals().get(kind)
    if not (isinstance(known, type) and issubclass(known, CadenzaError)):
        known = CadenzaError
    error = known.__new__(known, message)
    CadenzaError.__init__(error, message)  # a class of its own may be built from other things
    return error
