"""Exercise 2.1, scaled_dot_product_attention."""
import math

import torch

HIDDEN = float("-inf")


def products(q, k):
    """Products of queries and keys divided by the root of the width of a head, [B, H, T, T]."""
    return q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])


def hide(scores, mask):
    """The keys that may not be attended to get minus infinity."""
    return scores if mask is None else scores.masked_fill(~mask[:, None, None, :], HIDDEN)


def weights(q, k, mask):
    """The attention as it should be."""
    return hide(products(q, k), mask).softmax(-1)


def wrong_scaled_dot_product_attention__not_scaled(q, k, v, mask=None):
    """The root of D is missing.

    message: sqrt(D)
    message: square root
    message: not scaled
    """
    return hide(q @ k.transpose(-2, -1), mask).softmax(-1) @ v


def wrong_scaled_dot_product_attention__divided_by_width(q, k, v, mask=None):
    """Divides by D, not by its root.

    message: divide by D
    message: sqrt(D)
    message: square root
    """
    return hide(q @ k.transpose(-2, -1) / q.shape[-1], mask).softmax(-1) @ v


def wrong_scaled_dot_product_attention__multiplied(q, k, v, mask=None):
    """Multiplies by the root of D.

    message: multiply
    message: sqrt(D)
    """
    return hide(q @ k.transpose(-2, -1) * math.sqrt(q.shape[-1]), mask).softmax(-1) @ v


def wrong_scaled_dot_product_attention__root_of_length(q, k, v, mask=None):
    """q.shape[2] is the number of tokens, not the width of a head.

    message: sqrt(T)
    message: number of tokens
    message: length
    """
    return hide(q @ k.transpose(-2, -1) / math.sqrt(q.shape[2]), mask).softmax(-1) @ v


def wrong_scaled_dot_product_attention__root_of_all_heads(q, k, v, mask=None):
    """The root of the model's width: heads times D.

    message: sqrt(H
    message: all heads
    message: one head
    """
    return hide(q @ k.transpose(-2, -1) / math.sqrt(q.shape[1] * q.shape[3]), mask).softmax(-1) @ v


def wrong_scaled_dot_product_attention__scaled_after_softmax(q, k, v, mask=None):
    """Divides the weights, not the scores: they do not sum to 1.

    message: after the softmax
    message: before the softmax
    message: sum to 1
    """
    return hide(q @ k.transpose(-2, -1), mask).softmax(-1) / math.sqrt(q.shape[-1]) @ v


def wrong_scaled_dot_product_attention__softmax_over_queries(q, k, v, mask=None):
    """softmax(-2) runs over the queries; the hidden keys become nan columns unless a finite number hides them.

    message: over the queries
    message: over the keys
    """
    scores = products(q, k)
    if mask is not None:
        scores = scores.masked_fill(~mask[:, None, None, :], -1e9)
    return scores.softmax(-2) @ v


def wrong_scaled_dot_product_attention__softmax_over_heads(q, k, v, mask=None):
    """softmax(1) runs over the heads.

    message: over the heads
    message: over the keys
    """
    scores = products(q, k)
    if mask is not None:
        scores = scores.masked_fill(~mask[:, None, None, :], -1e9)
    return scores.softmax(1) @ v


def wrong_scaled_dot_product_attention__softmax_over_the_matrix(q, k, v, mask=None):
    """One softmax over queries and keys together: the whole matrix sums to 1.

    message: over the whole
    message: over the keys
    message: sum to 1
    """
    scores = hide(products(q, k), mask)
    return scores.flatten(2).softmax(-1).view_as(scores) @ v


def wrong_scaled_dot_product_attention__sigmoid(q, k, v, mask=None):
    """Each weight for itself between 0 and 1.

    message: softmax
    message: sum to 1
    """
    return hide(products(q, k), mask).sigmoid() @ v


def wrong_scaled_dot_product_attention__no_softmax(q, k, v, mask=None):
    """The scores themselves are the weights.

    message: softmax
    message: sum to 1
    """
    scores = products(q, k)
    return (scores if mask is None else scores * mask[:, None, None, :]) @ v


def wrong_scaled_dot_product_attention__mask_the_wrong_way_round(q, k, v, mask=None):
    """True is what is hidden.

    message: may be attended to
    message: wrong way round
    message: hide the
    """
    return hide(products(q, k), None if mask is None else ~mask).softmax(-1) @ v


def wrong_scaled_dot_product_attention__mask_on_queries(q, k, v, mask=None):
    """Hides rows, not columns: padding is attended to.

    message: rows
    message: queries
    message: columns
    """
    scores = products(q, k)
    if mask is not None:
        scores = scores.masked_fill(~mask[:, None, :, None], -1e9)
    return scores.softmax(-1) @ v


def wrong_scaled_dot_product_attention__mask_on_both(q, k, v, mask=None):
    """Hides rows and columns: a row without any key is nan.

    message: nan
    message: rows
    message: queries
    """
    scores = products(q, k)
    if mask is not None:
        scores = scores.masked_fill(~(mask[:, None, None, :] & mask[:, None, :, None]), HIDDEN)
    return scores.softmax(-1) @ v


def wrong_scaled_dot_product_attention__mask_after_softmax(q, k, v, mask=None):
    """Sets weights to 0 after the softmax: the others do not sum to 1.

    message: after the softmax
    message: before the softmax
    message: sum to 1
    """
    attention = products(q, k).softmax(-1)
    return (attention if mask is None else attention * mask[:, None, None, :]) @ v


def wrong_scaled_dot_product_attention__mask_ignored(q, k, v, mask=None):
    """Takes a mask and does nothing with it.

    message: ignore
    message: mask has no effect
    message: do not use the mask
    """
    return products(q, k).softmax(-1) @ v


def wrong_scaled_dot_product_attention__hidden_scores_are_zero(q, k, v, mask=None):
    """A score of 0 is a score like any other: exp(0) is 1.

    message: exp(0)
    message: minus infinity
    message: -inf
    """
    scores = products(q, k)
    return (scores if mask is None else scores.masked_fill(~mask[:, None, None, :], 0.0)).softmax(-1) @ v


def wrong_scaled_dot_product_attention__mask_added(q, k, v, mask=None):
    """Adds the mask as if it held 0 and minus infinity: True adds 1.

    message: adds
    message: added
    message: bool
    """
    scores = products(q, k)
    return (scores if mask is None else scores + mask[:, None, None, :]).softmax(-1) @ v


def wrong_scaled_dot_product_attention__mask_of_the_first(q, k, v, mask=None):
    """The first protein's mask hides the keys of all proteins.

    message: first protein
    message: first row
    message: each protein
    message: own mask
    """
    return weights(q, k, None if mask is None else mask[:1].expand_as(mask)) @ v


def wrong_scaled_dot_product_attention__mask_needed(q, k, v, mask=None):
    """Stops when there is no mask.

    message: mask=None
    message: without a mask
    message: TypeError
    """
    return products(q, k).masked_fill(~mask[:, None, None, :], HIDDEN).softmax(-1) @ v


def wrong_scaled_dot_product_attention__causal(q, k, v, mask=None):
    """Hides what comes later, as a decoder does.

    message: later
    message: causal
    message: decoder
    """
    ahead = torch.ones(q.shape[2], q.shape[2], dtype=torch.bool, device=q.device).triu(1)
    return hide(products(q, k), mask).masked_fill(ahead, -1e9).softmax(-1) @ v


def wrong_scaled_dot_product_attention__key_and_value_exchanged(q, k, v, mask=None):
    """Compares the queries with v and returns means of k.

    message: k and v
    message: keys and values
    message: values
    """
    return weights(q, v, mask) @ k


def wrong_scaled_dot_product_attention__query_and_key_exchanged(q, k, v, mask=None):
    """k @ q.T: each key asks all queries.

    message: q and k
    message: queries and keys
    message: transposed
    """
    return weights(k, q, mask) @ v


def wrong_scaled_dot_product_attention__attention_transposed(q, k, v, mask=None):
    """The weights are right, and then used column by column.

    message: transposed
    message: columns
    """
    return weights(q, k, mask).transpose(-2, -1) @ v


def wrong_scaled_dot_product_attention__heads_behind_tokens(q, k, v, mask=None):
    """Returns [B, T, H, D].

    message: shape
    message: [B, H, T, D]
    """
    return (weights(q, k, mask) @ v).transpose(1, 2)


def wrong_scaled_dot_product_attention__heads_merged(q, k, v, mask=None):
    """Already puts the heads side by side: [B, T, H * D].

    message: shape
    message: [B, H, T, D]
    """
    return (weights(q, k, mask) @ v).transpose(1, 2).flatten(2)


def wrong_scaled_dot_product_attention__pair(q, k, v, mask=None):
    """Returns the weights beside the result.

    message: tuple
    message: one tensor
    """
    attention = weights(q, k, mask)
    return attention @ v, attention


def wrong_scaled_dot_product_attention__weights_only(q, k, v, mask=None):
    """Returns the weights and forgets the values.

    message: shape
    message: attention weights
    message: @ v
    """
    return weights(q, k, mask)


def wrong_scaled_dot_product_attention__in_place(q, k, v, mask=None):
    """Scales the caller's q.

    message: changes its input
    """
    q /= math.sqrt(q.shape[-1])
    return hide(q @ k.transpose(-2, -1), mask).softmax(-1) @ v


def wrong_scaled_dot_product_attention__dropout(q, k, v, mask=None):
    """Drops a tenth of the weights, as BERT does in training.

    message: dropout
    message: random
    message: two calls
    message: Two calls
    """
    return torch.nn.functional.dropout(weights(q, k, mask), 0.1) @ v


def wrong_scaled_dot_product_attention__nothing(q, k, v, mask=None):
    """Forgets the return.

    message: is the line with 'return' missing?
    """
    weights(q, k, mask) @ v


def right_scaled_dot_product_attention__step_by_step(q, k, v, mask=None):
    scores = torch.matmul(q, k.transpose(2, 3)) / q.size(-1) ** 0.5
    if mask is not None:
        scores = scores.masked_fill(mask[:, None, None, :] == 0, float("-inf"))
    return torch.matmul(torch.softmax(scores, dim=-1), v)


def right_scaled_dot_product_attention__einsum(q, k, v, mask=None):
    scores = torch.einsum("bhqd,bhkd->bhqk", q, k) * q.shape[-1] ** -0.5
    if mask is not None:
        bias = torch.zeros(mask.shape, dtype=q.dtype, device=q.device).masked_fill_(~mask, torch.finfo(q.dtype).min)
        scores = scores + bias[:, None, None]
    return torch.einsum("bhqk,bhkd->bhqd", scores.softmax(dim=-1), v)


def right_scaled_dot_product_attention__of_torch(q, k, v, mask=None):
    allowed = None if mask is None else mask.unsqueeze(1).unsqueeze(2)
    return torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=allowed)


def right_scaled_dot_product_attention__loops(q, k, v, mask=None):
    """Protein by protein and head by head; hidden keys are left out altogether."""
    result = torch.empty_like(v)
    for i in range(q.shape[0]):
        seen = slice(None) if mask is None else mask[i]
        for h in range(q.shape[1]):
            scores = q[i, h] @ k[i, h][seen].T / math.sqrt(q.shape[-1])
            result[i, h] = torch.softmax(scores, dim=1) @ v[i, h][seen]
    return result


def right_scaled_dot_product_attention__softmax_by_hand(q, k, v, mask=None):
    """Exponentials, the hidden ones set to 0, and divided by their sum."""
    scores = (q / q.shape[-1] ** 0.5) @ k.mT
    powers = torch.exp(scores - scores.amax(-1, keepdim=True))
    if mask is not None:
        powers = powers * mask[:, None, None, :].to(powers.dtype)
    return (powers @ v) / powers.sum(-1, keepdim=True)


def right_scaled_dot_product_attention__heads_in_the_batch(q, k, v, mask=None):
    """Batch and heads as one axis, scaled evenly on both sides."""
    batch, heads, length, width = q.shape
    q, k, v = (x.reshape(batch * heads, length, -1) for x in (q, k, v))
    scores = torch.bmm(q * width ** -0.25, (k * width ** -0.25).transpose(1, 2))
    if mask is not None:
        scores = torch.where(mask.repeat_interleave(heads, 0)[:, None], scores, -torch.inf)
    return torch.bmm(scores.softmax(2), v).reshape(batch, heads, length, -1)
