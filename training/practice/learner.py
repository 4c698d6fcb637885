"""One step of practice: what earned more than the other takes of its prompt becomes likelier."""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import MusicgenForConditionalGeneration

from cadenza.sampling import guide, keep_top_k
from cadenza.types import Sampling
from training.language_model.learner import BOOKS
from training.language_model.loss import delayed, read

ROWS_AT_ONCE = 16  # as many as the memory of a laptop holds gradients for


def reinforce(
    model: MusicgenForConditionalGeneration,
    codes: Tensor,
    tokens: Tensor,
    worth: Tensor,
    sampling: Sampling,
) -> Tensor:
    """Add the policy gradient of takes ``[B, K, T]`` of ``tokens [B, S]`` to the model's gradients
    (Williams 1992, https://doi.org/10.1007/BF00992696), where ``worth [B, N]`` is the advantage of
    each of ``N`` parts of a take; the likelihood of the takes, in nats a token of each codebook,
    ``[K]``."""
    frames = torch.arange(codes.shape[2], device=codes.device)
    worth = worth[:, frames * worth.shape[1] // codes.shape[2]]
    books = torch.tensor(BOOKS, device=codes.device)
    likely = torch.zeros(len(books), device=codes.device)
    parts = zip(*(x.split(ROWS_AT_ONCE) for x in (codes, tokens, worth)), strict=True)
    for some, words, much in parts:
        with torch.autocast(codes.device.type, torch.bfloat16):
            chosen = log_likelihoods(model, some, words, sampling)
        loss = -(chosen * much[:, None]).mean(2).sum(0) @ books / len(codes)
        loss.backward()  # type: ignore[no-untyped-call]
        likely += chosen.detach().mean(2).sum(0) / len(codes)
    return likely


def log_likelihoods(
    model: MusicgenForConditionalGeneration, codes: Tensor, tokens: Tensor, sampling: Sampling
) -> Tensor:
    """Of the tokens of takes ``[B, K, T]``, as ``sampling`` draws them: guided, of the top k. What
    the model plays without a text is taken as it is and gets no gradient."""
    special = model.config.decoder.vocab_size
    columns = delayed(codes, special)
    heard = columns[:, :, :-1].flatten(0, 1)
    text, mask = read(model, tokens)
    decoder = model.decoder.model.decoder
    with_text = decoder(
        input_ids=heard,
        encoder_hidden_states=text,
        encoder_attention_mask=mask.long(),
        use_cache=False,
    ).last_hidden_state
    with torch.no_grad():
        without = decoder(
            input_ids=heard,
            encoder_hidden_states=torch.zeros_like(text),
            encoder_attention_mask=mask.long(),
            use_cache=False,
        ).last_hidden_state
    top_k = torch.full((len(codes),), sampling.top_k, device=codes.device)
    frames, likely = codes.shape[2], []
    for k, head in enumerate(model.decoder.lm_heads):
        there = slice(k, k + frames)
        with torch.no_grad():
            plain = head(without[:, there]).float()
        logits = guide(head(with_text[:, there]).float(), plain, sampling.guidance)
        # A token that rounding has pushed out of the top k is still there.
        chosen = logits.gather(2, codes[:, k, :, None])[..., 0]
        likely.append(chosen - keep_top_k(logits, top_k, sampling.top_k).logsumexp(2))
    return torch.stack(likely, 1)
