"""ESM-2 from its parts: attention, rotary positions, a block, the model. Short enough to read in one sitting."""
import copy
import dataclasses
import math

import torch
import torch.nn.functional as F
from torch import nn

from plmcourse.sequences import MASK, PAD, TOKENS

VISIBLE = 1 - 0.15 * 0.8  # share of the tokens that a model sees in training: 15 % are selected, 80 % of these become <mask>


def scaled_dot_product_attention(q, k, v, mask=None):
    """Each position takes the average of all values, weighted by how well its query matches their keys.

    Parameters
    ----------
    q, k, v : Tensor, shape [B, H, T, D]
    mask : BoolTensor, shape [B, T], optional
        True where a position may be attended to, False for padding.

    Returns softmax(q kᵀ / √D) v, [B, H, T, D]. Where a whole row is hidden, that is the mean of all values, never nan.
    """
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask[:, None, None, :], torch.finfo(scores.dtype).min)
    return scores.softmax(-1) @ v


def frequencies(dim):
    """Angle per position of each of a head's dim/2 pairs: 10,000^(−2i/dim), from one radian down to nearly nothing."""
    return 1 / 10_000 ** (torch.arange(0, dim, 2).float() / dim)


def apply_rotary(q, k):
    """Rotate queries and keys [B, H, T, D] by angles that grow with the position: their products then depend on distances only.

    At position t (from 0) the dimensions i and i + D/2 turn as a pair by t · 10,000^(−2i/D), computed in float32; the results have the
    inputs' dtype. Source: Su et al. 2021, "RoFormer"; half-split as in ESM-2.
    """
    return _rotate(q), _rotate(k)


def _rotate(x):
    length, dim = x.shape[-2:]
    angle = torch.arange(length, device=x.device).float()[:, None] * frequencies(dim).to(x.device)  # [T, D/2]
    first, second = x.chunk(2, dim=-1)
    turned = [first * angle.cos() - second * angle.sin(), second * angle.cos() + first * angle.sin()]
    return torch.cat(turned, dim=-1).to(x.dtype)


class TransformerBlock(nn.Module):
    """One of ESM-2's blocks: attention, then a feed-forward network, each on the normalised input and added to it."""

    def __init__(self, dim, heads):
        super().__init__()
        if dim % (2 * heads):
            raise ValueError(f"{dim} dimensions cannot be split into {heads} heads of an even number of dimensions")
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)  # PyTorch's eps is ESM-2's, 1e-5
        self.query, self.key, self.value, self.out = (nn.Linear(dim, dim) for _ in range(4))
        self.fc1, self.fc2 = nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)

    def forward(self, x, mask=None):
        """Hidden states [B, T, dim] to hidden states [B, T, dim]; ``mask`` [B, T] is True at real tokens."""
        h = self.norm1(x)
        q, k, v = (layer(h).unflatten(-1, (self.heads, -1)).transpose(1, 2) for layer in (self.query, self.key, self.value))
        found = scaled_dot_product_attention(*apply_rotary(q, k), v, mask)
        x = x + self.out(found.transpose(1, 2).flatten(2))
        return x + self.fc2(F.gelu(self.fc1(self.norm2(x))))


class MiniESM2(nn.Module):
    """ESM-2 with its language-model head, without the contact head: the same logits as transformers' and fair-esm's."""

    def __init__(self, layers, dim, heads):
        super().__init__()
        self.embed = nn.Embedding(len(TOKENS), dim, padding_idx=PAD)
        self.blocks = nn.ModuleList(TransformerBlock(dim, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(dim)
        self.head_dense, self.head_norm = nn.Linear(dim, dim), nn.LayerNorm(dim)
        self.head_bias = nn.Parameter(torch.zeros(len(TOKENS)))  # the output weight is the embedding's

    def forward(self, tokens):
        """Token ids [B, T], padded with 1, to logits [B, T, 33]."""
        real, visible = tokens != PAD, (tokens != PAD) & (tokens != MASK)
        # token dropout: <mask> has no embedding of its own, and the others make up for what is missing
        scale = VISIBLE * real.sum(1, keepdim=True) / visible.sum(1, keepdim=True).clamp(min=1)
        x = self.embed(tokens)
        x = x * (scale * visible)[..., None].to(x.dtype)
        for block in self.blocks:
            x = block(x, real)
        x = self.head_norm(F.gelu(self.head_dense(self.norm(x))))
        return x @ self.embed.weight.T + self.head_bias


def count_parameters(layers, dim, heads):
    """Parameters of an ESM-2 of that size, contact head included and the tied output weight counted once."""
    linear, norm, vocabulary = dim * dim + dim, 2 * dim, len(TOKENS)
    block = 2 * norm + 4 * linear + (dim * 4 * dim + 4 * dim) + (4 * dim * dim + dim)
    return vocabulary * dim + layers * block + norm + (linear + norm + vocabulary) + (layers * heads + 1)


# transformers' parameter names -> those of MiniESM2, applied in this order
RENAME = [("esm.embeddings.word_embeddings.", "embed."), ("esm.encoder.layer.", "blocks."), (".attention.LayerNorm.", ".norm1."),
          (".attention.self.", "."), (".attention.output.dense.", ".out."), (".intermediate.dense.", ".fc1."),
          (".output.dense.", ".fc2."), (".LayerNorm.", ".norm2."), ("esm.encoder.emb_layer_norm_after.", "norm."),
          ("lm_head.dense.", "head_dense."), ("lm_head.layer_norm.", "head_norm."), ("lm_head.bias", "head_bias")]
# not in MiniESM2: contacts are read elsewhere, angles are computed, and rotary models never read a table of positions
LEFT_OUT = ("esm.contact_head.", "inv_freq", "position_ids", "position_embeddings")


@torch.no_grad()
def copy_weights(plm, mini):
    """Copy a loaded model's weights into a MiniESM2, and return the names of those that it has no use for (the contact head's).

    Raises ValueError if a weight is missing, left over or of another shape, or if the models differ in what no weight shows.
    """
    if not plm.config.token_dropout:
        raise ValueError("this model was made without token dropout (token_dropout=False), MiniESM2 has it")
    heads = getattr(next(iter(mini.blocks), None), "heads", plm.config.num_attention_heads)  # no shape shows how many there are
    if heads != plm.config.num_attention_heads:
        raise ValueError(f"the model has {plm.config.num_attention_heads} heads, MiniESM2 was made with {heads}")
    wanted, left_out = dict(mini.named_parameters()), []
    for theirs, value in plm.model.named_parameters():  # a tied weight comes once
        name = theirs
        for old, new in RENAME:
            name = name.replace(old, new)
        if any(part in theirs for part in LEFT_OUT):
            left_out.append(theirs)
        elif name not in wanted:
            raise ValueError(f"MiniESM2 has no place for the model's {theirs} (it would be called {name})")
        elif wanted[name].shape != value.shape:
            raise ValueError(f"{name} has shape {list(wanted[name].shape)}, the model's {theirs} has {list(value.shape)}")
        else:
            wanted.pop(name).copy_(value)
    if wanted:
        raise ValueError(f"the model has nothing to put into {', '.join(list(wanted)[:3])}")
    return left_out


def exact_frequencies(plm):
    """A copy of a model that rotates by :func:`frequencies`: files saved in half precision, as Meta's were, hold rounded ones."""
    model = copy.deepcopy(plm.model)
    for name, buffer in model.named_buffers():
        if name.endswith("inv_freq"):
            buffer.copy_(frequencies(2 * len(buffer)))
    return dataclasses.replace(plm, model=model)
