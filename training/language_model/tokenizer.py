"""nano's own tokenizer: small, blind to case and accents, with every tempo as one word."""

from __future__ import annotations

import json
from collections.abc import Iterable

from tokenizers import Tokenizer, normalizers, pre_tokenizers, processors, trainers
from tokenizers.models import Unigram
from transformers import PreTrainedTokenizerFast

PIECES = 1024
TEMPOS = range(40, 221)
MAX_TOKENS = 64
PAD, END, UNKNOWN = "<pad>", "</s>", "<unk>"  # T5's, with T5's ids 0, 1, 2


def train_tokenizer(captions: Iterable[str]) -> PreTrainedTokenizerFast:
    """Unigram pieces learned from ``captions``, with T5's special tokens."""
    normalizer = normalizers.Sequence(
        [normalizers.NFKD(), normalizers.StripAccents(), normalizers.Lowercase()]
    )
    splitter = pre_tokenizers.Sequence([pre_tokenizers.Metaspace(), pre_tokenizers.Punctuation()])
    learned = Tokenizer(Unigram())
    learned.normalizer, learned.pre_tokenizer = normalizer, splitter
    trainer = trainers.UnigramTrainer(
        vocab_size=PIECES,
        special_tokens=[PAD, END, UNKNOWN],
        unk_token=UNKNOWN,
        initial_alphabet=[chr(c) for c in range(33, 127) if chr(c) == chr(c).lower()],
        show_progress=False,
    )
    learned.train_from_iterator(captions, trainer)
    pieces = {piece: score for piece, score in json.loads(learned.to_str())["model"]["vocab"]}
    pieces |= {f"▁{tempo}": -4.0 for tempo in TEMPOS}
    tokenizer = Tokenizer(Unigram(list(pieces.items()), unk_id=2))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, splitter
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
