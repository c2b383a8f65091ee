"""Exercise 2.3, TransformerBlock."""
import math

import torch
from torch import nn
from torch.nn import functional as F


def rotary(x):
    """Rotate x [..., T, D] by its positions, the halves of D paired."""
    half = x.shape[-1] // 2
    angle = torch.outer(torch.arange(x.shape[-2]).float(), 10_000 ** (-torch.arange(half).float() / half))
    first, second = x.float().chunk(2, -1)
    cos, sin = angle.cos(), angle.sin()
    return torch.cat([first * cos - second * sin, second * cos + first * sin], -1).to(x.dtype)


class Block(nn.Module):
    """A block as it should be, in small methods: an answer changes one of them."""

    width, bias, eps = 4, True, 1e-5

    def __init__(self, dim, heads):
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(dim, eps=self.eps)
        for name in ("query", "key", "value", "out"):
            setattr(self, name, nn.Linear(dim, dim, bias=self.bias))
        self.norm2 = nn.LayerNorm(dim, eps=self.eps)
        self.fc1 = nn.Linear(dim, self.width * dim, bias=self.bias)
        self.fc2 = nn.Linear(self.width * dim, dim, bias=self.bias)

    def split(self, x):
        """[B, T, dim] -> [B, H, T, D]"""
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def join(self, x):
        """[B, H, T, D] -> [B, T, dim]"""
        return x.transpose(1, 2).flatten(2)

    def project(self, x):
        """Queries, keys and values, ready to be compared."""
        q, k, v = (self.split(linear(x)) for linear in (self.query, self.key, self.value))
        return rotary(q), rotary(k), v

    def scale(self, q):
        return q.shape[-1] ** -0.5

    def attend(self, q, k, v, mask):
        scores = q @ k.transpose(-2, -1) * self.scale(q)
        if mask is not None:
            scores = scores.masked_fill(~mask[:, None, None, :], -1e9)
        return scores.softmax(-1) @ v

    def attention(self, x, mask):
        return self.out(self.join(self.attend(*self.project(x), mask)))

    def activation(self, x):
        return F.gelu(x)

    def feed_forward(self, x):
        return self.fc2(self.activation(self.fc1(x)))

    def forward(self, x, mask=None):
        x = x + self.attention(self.norm1(x), mask)
        return x + self.feed_forward(self.norm2(x))


class wrong_TransformerBlock__post_ln(Block):
    """Normalises the sum after each branch, as the first transformer did.

    message: post-LN
    message: pre-LN
    message: before the attention
    """

    def forward(self, x, mask=None):
        x = self.norm1(x + self.attention(x, mask))
        return self.norm2(x + self.feed_forward(x))


class wrong_TransformerBlock__norm_of_the_branch(Block):
    """Normalises what a branch returns, not what it reads.

    message: before the attention
    message: pre-LN
    message: reads
    """

    def forward(self, x, mask=None):
        x = x + self.norm1(self.attention(x, mask))
        return x + self.norm2(self.feed_forward(x))


class wrong_TransformerBlock__shared_norm(Block):
    """norm2 is another name for norm1: one set of parameters.

    message: share
    message: two LayerNorms
    message: of its own
    message: parameters
    """

    def __init__(self, dim, heads):
        super().__init__(dim, heads)
        self.norm2 = self.norm1


class wrong_TransformerBlock__norm1_twice(Block):
    """norm2 is made and never used.

    message: norm2
    """

    def forward(self, x, mask=None):
        x = x + self.attention(self.norm1(x), mask)
        return x + self.feed_forward(self.norm1(x))


class wrong_TransformerBlock__no_norm2(Block):
    """The feed-forward layers read x as it is.

    message: norm2
    """

    def forward(self, x, mask=None):
        x = x + self.attention(self.norm1(x), mask)
        return x + self.feed_forward(x)


class wrong_TransformerBlock__no_residual_around_attention(Block):
    """The attention's output replaces x.

    message: around the attention
    message: residual
    """

    def forward(self, x, mask=None):
        x = self.attention(self.norm1(x), mask)
        return x + self.feed_forward(self.norm2(x))


class wrong_TransformerBlock__no_residual_around_feed_forward(Block):
    """The feed-forward layers' output replaces x.

    message: around the feed-forward
    message: residual
    """

    def forward(self, x, mask=None):
        x = x + self.attention(self.norm1(x), mask)
        return self.feed_forward(self.norm2(x))


class wrong_TransformerBlock__residual_from_the_input(Block):
    """The second sum begins at the block's input: the attention's own sum is lost.

    message: second residual
    message: block's input
    message: attention's output
    message: residual
    """

    def forward(self, x, mask=None):
        y = x + self.attention(self.norm1(x), mask)
        return x + self.feed_forward(self.norm2(y))


class wrong_TransformerBlock__residual_from_normalised(Block):
    """Overwrites x with its normalised form and adds to that.

    message: residual
    message: normalised x
    message: normalised
    """

    def forward(self, x, mask=None):
        x = self.norm1(x)
        x = x + self.attention(x, mask)
        x = self.norm2(x)
        return x + self.feed_forward(x)


class wrong_TransformerBlock__parallel(Block):
    """Both branches read the block's input side by side, as in GPT-J.

    message: parallel
    message: one after the other
    message: block's input
    message: after the attention
    """

    def forward(self, x, mask=None):
        return x + self.attention(self.norm1(x), mask) + self.feed_forward(self.norm2(x))


class wrong_TransformerBlock__feed_forward_first(Block):
    """The feed-forward layers come before the attention.

    message: order
    message: first the attention
    message: attention first
    """

    def forward(self, x, mask=None):
        x = x + self.feed_forward(self.norm2(x))
        return x + self.attention(self.norm1(x), mask)


class wrong_TransformerBlock__tanh_gelu(Block):
    """The approximation of GELU that GPT-2 uses.

    message: tanh
    message: erf
    """

    def activation(self, x):
        return F.gelu(x, approximate="tanh")


class wrong_TransformerBlock__sigmoid_gelu(Block):
    """x * sigmoid(1.702 x), another approximation.

    message: erf
    message: 1.702
    """

    def activation(self, x):
        return x * torch.sigmoid(1.702 * x)


class wrong_TransformerBlock__relu(Block):
    """ReLU.

    message: ReLU
    """

    def activation(self, x):
        return F.relu(x)


class wrong_TransformerBlock__silu(Block):
    """SiLU, the gate of SwiGLU, without a gate.

    message: SiLU
    message: Swish
    message: GELU
    """

    def activation(self, x):
        return F.silu(x)


class wrong_TransformerBlock__no_activation(Block):
    """Two linear layers in a row are one linear layer.

    message: no activation
    message: GELU
    """

    def activation(self, x):
        return x


class wrong_TransformerBlock__gelu_after_fc2(Block):
    """Also activates what fc2 returns.

    message: after fc2
    message: between fc1 and fc2
    message: GELU
    """

    def feed_forward(self, x):
        return self.activation(super().feed_forward(x))


class wrong_TransformerBlock__swiglu(Block):
    """The lecture's SwiGLU: a third matrix.

    message: SwiGLU
    message: parameters
    """

    def __init__(self, dim, heads):
        super().__init__(dim, heads)
        self.gate = nn.Linear(dim, 4 * dim)

    def feed_forward(self, x):
        return self.fc2(F.silu(self.gate(x)) * self.fc1(x))


class wrong_TransformerBlock__eps_of_transformers(Block):
    """eps = 1e-12, the default of EsmConfig.

    message: eps
    message: 1e-5
    """

    eps = 1e-12


class wrong_TransformerBlock__no_biases(Block):
    """Linear layers without biases, as in Llama.

    message: bias
    """

    bias = False


class wrong_TransformerBlock__twice_as_wide(Block):
    """fc1 widens to 2 * dim.

    message: 4 * dim
    message: four times
    message: 4x
    message: shape
    """

    width = 2


class wrong_TransformerBlock__rms_norm(Block):
    """RMSNorm subtracts no mean and has no bias.

    message: LayerNorm
    message: RMSNorm
    message: bias
    """

    def __init__(self, dim, heads):
        super().__init__(dim, heads)
        self.norm1, self.norm2 = nn.RMSNorm(dim, eps=1e-5), nn.RMSNorm(dim, eps=1e-5)


class wrong_TransformerBlock__other_names(Block):
    """Calls the projections q_proj, k_proj and v_proj, as fair-esm does.

    message: query
    message: names
    """

    def __init__(self, dim, heads):
        super().__init__(dim, heads)
        for name in ("query", "key", "value"):
            setattr(self, f"{name[0]}_proj", getattr(self, name))
            delattr(self, name)

    def project(self, x):
        q, k, v = (self.split(linear(x)) for linear in (self.q_proj, self.k_proj, self.v_proj))
        return rotary(q), rotary(k), v


class wrong_TransformerBlock__split_without_transpose(Block):
    """view(B, heads, T, D) cuts the tokens into pieces, not the columns.

    message: transpose
    message: view
    message: split
    """

    def split(self, x):
        return x.reshape(x.shape[0], self.heads, x.shape[1], -1)


class wrong_TransformerBlock__joined_without_transpose(Block):
    """Reshapes [B, H, T, D] straight to [B, T, dim].

    message: transpose
    message: reshape
    message: put the heads
    message: join
    """

    def join(self, x):
        return x.reshape(x.shape[0], x.shape[2], -1)


class wrong_TransformerBlock__columns_dealt_out(Block):
    """Column j goes to head j % heads, as when (D, heads) is the shape and not (heads, D).

    message: neighbouring columns
    message: consecutive
    message: each head
    message: split
    """

    def split(self, x):
        return x.unflatten(-1, (-1, self.heads)).permute(0, 3, 1, 2)

    def join(self, x):
        return x.permute(0, 2, 3, 1).flatten(2)


class wrong_TransformerBlock__one_head(Block):
    """Never splits: one head over all columns.

    message: one head
    message: single head
    message: split
    """

    def split(self, x):
        return x.unsqueeze(1)


class wrong_TransformerBlock__no_rope(Block):
    """Queries and keys are not rotated: the block does not know the order of the tokens.

    message: rotate
    message: rotary
    message: RoPE
    message: order of the
    """

    def project(self, x):
        return [self.split(linear(x)) for linear in (self.query, self.key, self.value)]


class wrong_TransformerBlock__values_rotated(Block):
    """The values are rotated, too.

    message: values
    message: rotates v
    message: rotate v
    """

    def project(self, x):
        q, k, v = super().project(x)
        return q, k, rotary(v)


class wrong_TransformerBlock__rotated_before_the_split(Block):
    """Rotates over all dim columns, then splits into heads.

    message: before the split
    message: before you split
    message: each head
    message: after the split
    """

    def project(self, x):
        return self.split(rotary(self.query(x))), self.split(rotary(self.key(x))), self.split(self.value(x))


class wrong_TransformerBlock__rotated_input(Block):
    """Rotates the block's input where queries and keys should be.

    message: queries and keys
    message: q and k
    message: rotate
    """

    def project(self, x):
        turned = rotary(x)
        return [self.split(linear(turned)) for linear in (self.query, self.key)] + [self.split(self.value(x))]


class wrong_TransformerBlock__query_twice(Block):
    """Copied a line: the keys come from self.query.

    message: self.key
    message: keys
    """

    def project(self, x):
        q, _, v = super().project(x)
        return q, q, v


class wrong_TransformerBlock__not_scaled(Block):
    """No root of D.

    message: sqrt
    message: square root
    message: scale
    """

    def scale(self, q):
        return 1.0


class wrong_TransformerBlock__scaled_by_model_width(Block):
    """The root of dim, not of a head's width.

    message: sqrt
    message: square root
    message: one head
    """

    def scale(self, q):
        return (self.heads * q.shape[-1]) ** -0.5


class wrong_TransformerBlock__no_out(Block):
    """The heads are put side by side and not mixed: out is made and never used.

    message: out projection
    message: self.out
    message: out is
    """

    def attention(self, x, mask):
        return self.join(self.attend(*self.project(x), mask))


class wrong_TransformerBlock__mask_forgotten(Block):
    """Takes the mask and does not hand it on.

    message: mask
    """

    def forward(self, x, mask=None):
        return super().forward(x)


class wrong_TransformerBlock__mask_the_wrong_way_round(Block):
    """Takes True for hidden, as nn.MultiheadAttention does.

    message: mask
    """

    def forward(self, x, mask=None):
        return super().forward(x, None if mask is None else ~mask)


class wrong_TransformerBlock__mask_needed(Block):
    """Stops when there is no mask.

    message: mask=None
    message: without a mask
    message: TypeError
    """

    def forward(self, x, mask=None):
        return super().forward(x, ~~mask)


class wrong_TransformerBlock__causal(Block):
    """Each token sees only what stands before it.

    message: later
    message: causal
    message: decoder
    """

    def attend(self, q, k, v, mask):
        seen = torch.ones(q.shape[2], q.shape[2], dtype=torch.bool, device=q.device).tril()[None, None]
        return F.scaled_dot_product_attention(q, k, v, seen if mask is None else seen & mask[:, None, None, :])


class wrong_TransformerBlock__dropout(Block):
    """F.dropout without its argument `training` drops in eval mode, too.

    message: dropout
    message: random
    message: wo calls
    """

    def feed_forward(self, x):
        return F.dropout(super().feed_forward(x), 0.1)


class wrong_TransformerBlock__in_place(Block):
    """x += changes the caller's tensor.

    message: changes its input
    message: in place
    """

    def forward(self, x, mask=None):
        x += self.attention(self.norm1(x), mask)
        return x + self.feed_forward(self.norm2(x))


class wrong_TransformerBlock__nothing(Block):
    """Forgets the return in forward.

    message: is the line with 'return' missing?
    message: returns None
    """

    def forward(self, x, mask=None):
        super().forward(x, mask)


class right_TransformerBlock__small_methods(Block):
    """The parent's own methods."""


class right_TransformerBlock__all_in_forward(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.heads, self.head_dim = heads, dim // heads
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.query, self.key = nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.value, self.out = nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.fc1, self.fc2 = nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)

    def forward(self, x, mask=None):
        B, T, dim = x.shape
        h = self.norm1(x)
        q = rotary(self.query(h).view(B, T, self.heads, self.head_dim).permute(0, 2, 1, 3))
        k = rotary(self.key(h).view(B, T, self.heads, self.head_dim).permute(0, 2, 1, 3))
        v = self.value(h).view(B, T, self.heads, self.head_dim).permute(0, 2, 1, 3)
        scores = q @ k.mT / math.sqrt(self.head_dim)
        if mask is not None:
            scores = scores + torch.where(mask, 0.0, -torch.inf)[:, None, None]
        x = x + self.out((scores.softmax(-1) @ v).permute(0, 2, 1, 3).reshape(B, T, dim))
        h = self.fc1(self.norm2(x))
        return x + self.fc2(h * 0.5 * (1 + torch.erf(h / math.sqrt(2))))


class right_TransformerBlock__torch_attention(Block):
    """PyTorch's own attention, and queries scaled before they are rotated, as in transformers."""

    def project(self, x):
        q, k, v = (self.split(linear(x)) for linear in (self.query, self.key, self.value))
        return rotary(q * q.shape[-1] ** -0.5), rotary(k), v

    def attend(self, q, k, v, mask):
        return F.scaled_dot_product_attention(q, k, v, None if mask is None else mask[:, None, None, :], scale=1.0)


class right_TransformerBlock__frequencies_in_a_buffer(Block):
    """A buffer, turned as complex numbers, and helpers without parameters: GELU and a dropout of 0."""

    def __init__(self, dim, heads):
        super().__init__(dim, heads)
        half = dim // heads // 2
        self.register_buffer("inv_freq", 10_000 ** (-torch.arange(half) / half), persistent=False)
        self.gelu, self.dropout, self.head_dim = nn.GELU(), nn.Dropout(0.0), dim // heads

    def turn(self, x):
        first, second = x.float().chunk(2, -1)
        angle = torch.arange(x.shape[-2])[:, None] * self.inv_freq.float()
        number = torch.complex(first, second) * torch.polar(torch.ones_like(angle), angle)
        return torch.cat([number.real, number.imag], -1).type_as(x)

    def project(self, x):
        q, k, v = (self.split(linear(x)) for linear in (self.query, self.key, self.value))
        return self.turn(q), self.turn(k), v

    def activation(self, x):
        return self.dropout(self.gelu(x))


class right_TransformerBlock__functional_einsum(Block):
    """Weights taken out of the modules: one product for q, k and v, einsum for the heads."""

    def attention(self, x, mask):
        projections = (self.query, self.key, self.value)
        weight = torch.cat([linear.weight for linear in projections])
        bias = torch.cat([linear.bias for linear in projections])
        q, k, v = torch.einsum("btd,nd->btn", x, weight).add(bias).unflatten(-1, (3, self.heads, -1)).unbind(2)
        q, k = (rotary(part.transpose(1, 2)).transpose(1, 2) for part in (q, k))
        scores = torch.einsum("bqhd,bkhd->bhqk", q, k) / math.sqrt(q.shape[-1])
        if mask is not None:
            scores = scores.masked_fill(mask[:, None, None].logical_not(), torch.finfo(x.dtype).min)
        joined = torch.einsum("bhqk,bkhd->bqhd", scores.softmax(-1), v).flatten(2)
        return F.linear(joined, self.out.weight, self.out.bias)


class right_TransformerBlock__loop_over_heads(Block):
    """Cuts out each head's columns; what out does is the sum over the heads."""

    def attention(self, x, mask):
        q, k, v = self.query(x), self.key(x), self.value(x)
        result, size = self.out.bias, x.shape[-1] // self.heads
        for start in range(0, x.shape[-1], size):
            head = [part[:, None, :, start:start + size] for part in (q, k, v)]
            seen = self.attend(rotary(head[0]), rotary(head[1]), head[2], mask)[:, 0]
            result = result + seen @ self.out.weight[:, start:start + size].T
        return result


class right_TransformerBlock__steps_in_a_sequence(Block):
    """The feed-forward layers stand in an nn.Sequential, too: a second name for the same parameters."""

    def __init__(self, dim, heads):
        super().__init__(dim, heads)
        self.mlp = nn.Sequential(self.norm2, self.fc1, nn.GELU(), self.fc2)

    def forward(self, x, mask=None):
        x = x + self.attention(self.norm1(x), mask)
        return x + self.mlp(x)
