"""Sound for the eye: what is seen of it, on a page or in the terminal."""

from cadenza.show.picture import Roll, check_suffix, page, piano_roll
from cadenza.show.terminal import Summary
from cadenza.show.view import View, look

__all__ = ["Roll", "Summary", "View", "check_suffix", "look", "page", "piano_roll"]
