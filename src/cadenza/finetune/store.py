"""What is worked out once and kept: arrays by name, in one file."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cadenza.files import write_atomically


def keep(place: Path, arrays: Mapping[str, Any]) -> None:
    """Raises ``OutputError`` where it cannot be written."""
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    write_atomically(place, content.getvalue())


def kept(place: Path) -> dict[str, Any] | None:
    """What was kept; nothing where it is absent or damaged."""
    try:
        with np.load(place, allow_pickle=False) as arrays:
            return dict(arrays)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error):
        return None
