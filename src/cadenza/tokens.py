"""How much text a text encoder is given, whichever back end runs it."""

from __future__ import annotations

from cadenza.errors import PromptError

MAX_TOKENS = 2048  # its memory grows with the square of them, and its table of positions ends here


def check_tokens(count: int) -> None:
    """Refuse a text of too many tokens. Few characters may be many: some stand for whole words.

    Raises:
        PromptError: more than :data:`MAX_TOKENS`.
    """
    if count > MAX_TOKENS:
        raise PromptError(
            f"the text has {count} tokens, at most {MAX_TOKENS} are read: shorten it, "
            "or leave unusual characters out"
        )
