"""nano's own tokenizer: the words of its captions, blind to case and accents.

Its captions hold under a thousand words, so each is one piece; a word it does not know is read as
the known words inside it and letters (Unigram, Kudo 2018, arXiv:1804.10959, chooses the likeliest
reading). Every tempo is one piece, whether or not a caption named it.
"""

from __future__ import annotations

import math
import string
from collections import Counter
from collections.abc import Iterable

from tokenizers import Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers.models import Unigram
from transformers import PreTrainedTokenizerFast

WORDS = 1000
TEMPOS = range(40, 221)
MAX_TOKENS = 64
PAD, END, UNKNOWN = "<pad>", "</s>", "<unk>"  # T5's, with T5's ids 0, 1, 2
RARE = -15.0  # logarithm of a letter's probability: any known word is likelier than its letters

NORMALIZER = normalizers.Sequence(
    [normalizers.NFKD(), normalizers.StripAccents(), normalizers.Lowercase()]
)
SPLITTER = pre_tokenizers.BertPreTokenizer()  # at spaces and punctuation


def train_tokenizer(captions: Iterable[str]) -> PreTrainedTokenizerFast:
    """The most frequent words of ``captions``, with T5's special tokens."""
    counts = Counter(
        word
        for caption in captions
        for word, _ in SPLITTER.pre_tokenize_str(NORMALIZER.normalize_str(caption))
        if not word.isdigit()
    )
    total = counts.total()
    pieces = {PAD: 0.0, END: 0.0, UNKNOWN: 0.0}
    pieces |= {word: math.log(n / total) for word, n in counts.most_common(WORDS)}
    pieces |= {str(tempo): 0.5 * RARE for tempo in TEMPOS}
    letters = string.ascii_lowercase + string.digits + string.punctuation
    pieces |= {letter: RARE for letter in letters if letter not in pieces}
    tokenizer = Tokenizer(Unigram(list(pieces.items()), unk_id=2))
    tokenizer.normalizer, tokenizer.pre_tokenizer = NORMALIZER, SPLITTER
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"$A {END}", special_tokens=[(END, 1)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        unk_token=UNKNOWN,
        model_max_length=MAX_TOKENS,
    )


def letters_of(tokenizer: PreTrainedTokenizerFast) -> list[int]:
    """The ids that words it does not know are read as."""
    return tokenizer.convert_tokens_to_ids(list(string.ascii_lowercase))
