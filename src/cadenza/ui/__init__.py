"""The web page: plain HTML, CSS and JavaScript modules, served as they are.

All that it does goes through the public API, so whatever the page can do, any program can.
"""

from pathlib import Path

PAGE = Path(__file__).parent / "page"

__all__ = ["PAGE"]
