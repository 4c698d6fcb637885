"""How a server behaves, decided when it starts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """All bounds are for one key, unless they say otherwise."""

    keys: bool  # whether everybody needs one; without, everybody is the same owner
    loopback: bool = True  # whether only this machine reaches it
    origins: tuple[str, ...] = ()  # of other sites whose pages may use it
    requests_a_minute: int = 600
    guesses_a_minute: int = 20  # wrong keys from one address
    open_jobs: int = 100  # queued or running
    streams: int = 4  # at once
    uploads: int = 4  # under way at once
    body_bytes: int = 64 * 1024  # of everything but an upload
    upload_bytes: int = 64 << 20
    uploads_bytes: int = 2 << 30  # all that are kept, decoded
    decoders: int = 2  # at once, of all keys together
