"""Pages that work from a file: one text that holds its style, its code and its data."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any


def filled(package: str, data: Any) -> bytes:
    """The ``page.html`` of a package, with what all pages share and ``data`` in their places."""
    template = files(package).joinpath("page.html").read_text(encoding="utf-8")
    shared = files(__name__)
    for place, name in (("__HEAD__", "head.html"), ("__TOOLS__", "tools.js")):
        text = shared.joinpath(name).read_text(encoding="utf-8")
        template = template.replace(place, text.rstrip())
    # A prompt may say «</script>», which must not end the script that holds it.
    text = json.dumps(data, ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")
    # The name of a file may hold bytes that are no text.
    return template.replace("__DATA__", text).encode(errors="replace")
