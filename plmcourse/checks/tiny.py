"""Small models for the checks: answers must hold for any weights, and a tiny model answers in a millisecond."""

import contextlib
import functools
import io

import torch
from transformers import EsmConfig, EsmForMaskedLM, EsmTokenizer

from plmcourse import datasets
from plmcourse.models import EMBEDDED, PLM, load
from plmcourse.sequences import MASK, PAD, TOKENS


@functools.cache
def tiny_plm(seed=0):
    """A random ESM-2 with 3 layers of 16 dimensions, its weights large enough that every position differs from the next."""
    config = EsmConfig(
        vocab_size=len(TOKENS),
        mask_token_id=MASK,
        pad_token_id=PAD,
        hidden_size=16,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=32,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        position_embedding_type="rotary",
        token_dropout=True,
        emb_layer_norm_before=False,
        max_position_embeddings=1026,
        layer_norm_eps=1e-5,
    )
    model = EsmForMaskedLM._from_config(config, attn_implementation="sdpa").eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.normal_(0, 0.5, generator=generator)
    return PLM(model, EsmTokenizer(str(datasets.path(EMBEDDED).parent / "vocab.txt")), "random weights")


@functools.cache
def course_plm():
    """The embedded checkpoint, loaded without a word."""
    with contextlib.redirect_stdout(io.StringIO()):
        return load(datasets.path(EMBEDDED).parent, device="cpu")
