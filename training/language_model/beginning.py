"""How the weights begin, where the published initialisation makes a small model slow to hear."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F
from transformers import MusicgenForConditionalGeneration, PreTrainedTokenizerFast

from training.language_model.tokenizer import TEMPOS


def make_inputs_heard(model: MusicgenForConditionalGeneration) -> None:
    """Tokens begin as loud as the positions they are added to, and text states reach the values
    of the cross-attention at their own size; only what that adds to the music begins quietly, so
    that a decoder that knows music already is not thrown off its course."""
    decoder = model.decoder.model.decoder
    for table in decoder.embed_tokens:
        nn.init.normal_(table.weight, std=0.35)
    for linear in (model.enc_to_dec_proj, *(layer.encoder_attn.v_proj for layer in decoder.layers)):
        nn.init.normal_(linear.weight, std=linear.in_features**-0.5)
    for layer in decoder.layers:
        linear = layer.encoder_attn.out_proj
        nn.init.normal_(linear.weight, std=0.1 * linear.in_features**-0.5)


@torch.no_grad()
def put_tempi_in_order(
    model: MusicgenForConditionalGeneration, tokenizer: PreTrainedTokenizerFast
) -> None:
    """Tempi that lie beside each other begin alike: each is too rare a word to be learned alone."""
    table = model.text_encoder.get_input_embeddings().weight
    tempi = torch.tensor(TEMPOS).log()
    centres = torch.linspace(float(tempi[0]), float(tempi[-1]), 96)
    rows = table.new_zeros(len(tempi), table.shape[1])
    for width in (0.03, 0.12):  # near ones can be told apart, far ones have something in common
        near = torch.exp(-0.5 * ((tempi[:, None] - centres) / width).square())
        rows += F.normalize(near, dim=-1) @ torch.randn(len(centres), table.shape[1])
    table[tokenizer.convert_tokens_to_ids([str(tempo) for tempo in TEMPOS])] = rows * 0.5**0.5
