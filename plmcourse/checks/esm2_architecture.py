"""Checks of notebook 2: scaled_dot_product_attention, apply_rotary, TransformerBlock, MiniESM2, count_parameters."""

import functools
import math

import torch
import torch.nn.functional as F
from hypothesis import strategies as st

from plmcourse import architecture
from plmcourse.checks import inputs
from plmcourse.checks.engine import Exercise, expect, expect_close, smallest
from plmcourse.checks.tiny import course_plm, tiny_plm
from plmcourse.models import FAMILY, untrained
from plmcourse.sequences import MASK, PAD, TOKEN_ID, TOKENS


def _normal(*shape, seed=0, scale=1.0):
    return torch.randn(shape, generator=inputs.generator(seed)) * scale


def _expect_tensor(name, result, shape):
    expect(isinstance(result, torch.Tensor), f"{name} returns a {type(result).__name__}; asked for is one tensor.")
    expect(list(result.shape) == list(shape), f"The result has shape {list(result.shape)}; asked for is {list(shape)}.")


# -------------------------------------------------------------------------------------- 2.1 scaled_dot_product_attention

attention_exercise = Exercise(
    "2.1",
    [architecture.scaled_dot_product_attention],
    hints=[
        "Three steps: how well does each query match each key; turn each query's matches into shares that sum to 1; average the values.",
        (
            "q @ k.transpose(-2, -1) has shape [B, H, T, T]: row = query, column = key. Hide columns, so the mask needs the shape"
            " [B, 1, 1, T]: mask[:, None, None, :]. Do it before the softmax."
        ),
        (
            "scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1]); scores = scores.masked_fill(~mask[:, None, None, :], -torch.inf)"
            " unless mask is None; return scores.softmax(dim=-1) @ v."
        ),
    ],
)


def _attend(q, k, v, mask=None, *, scale=None, over=-1, logits=lambda scores, seen: scores.masked_fill(~seen, -1e30)):
    """Attention with its parts exchangeable, for working out what a mistake gives."""
    scores = q @ k.transpose(-2, -1) * (q.shape[-1] ** -0.5 if scale is None else scale)
    if mask is not None:
        scores = logits(scores, mask[:, None, None, :])
    return scores.softmax(over) @ v


def _causal(q, k, v, mask=None):
    ahead = torch.ones(q.shape[2], q.shape[2], dtype=torch.bool).triu(1)
    scores = (q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5).masked_fill(ahead, -torch.inf)
    return scores.softmax(-1) @ v


def _qkv(batch=3, heads=2, length=5, dim=4, scale=1.0):
    return tuple(_normal(batch, heads, length, dim, seed=seed, scale=scale) for seed in (1, 2, 3))


@attention_exercise.step("one tensor", points=0)
def attention_shape(attention):
    q, k, v = _qkv()
    expect(not isinstance(attention(q, k, v), tuple), "A tuple is returned; asked for are the averaged values alone, not the weights.")
    _expect_tensor("scaled_dot_product_attention", attention(q, k, v), q.shape)


@attention_exercise.step("value", points=2)
def attention_value(attention):
    q, k, v = _qkv()
    dim, weights = q.shape[-1], (q @ k.transpose(-2, -1) / 2).softmax(-1)
    expect(torch.equal(attention(q, k, v), attention(q, k, v)), "Two calls with the same input give two answers: there is no dropout here.")
    ones = attention(q, k, torch.ones_like(v))
    right = architecture.scaled_dot_product_attention(q, k, v)
    expect_close(
        attention(q, k, v),
        right,
        lambda: {
            "The scores are not scaled: divide them by √D, the square root of q.shape[-1].": _attend(q, k, v, scale=1),
            "The scores are divided by D; asked for is its square root.": _attend(q, k, v, scale=1 / dim),
            "The scores are divided by √(heads · D): D is the dimension of one head, q.shape[-1].": _attend(
                q, k, v, scale=(2 * dim) ** -0.5
            ),
            "The scores are divided by √T, the length of the protein; D is the last dimension.": _attend(q, k, v, scale=5**-0.5),
            "You multiply the scores by √D; they are to be divided by it.": _attend(q, k, v, scale=dim**0.5),
            "The weights are divided by √D after the softmax; the scores are to be divided before it.": _attend(q, k, v, scale=1) / 2,
            "Your softmax runs over the queries: each row (query) must sum to 1 over its keys, dim=-1.": _attend(q, k, v, over=-2),
            "Your softmax runs over the heads; it belongs over the keys, dim=-1.": _attend(q, k, v, over=1),
            "Your softmax runs over the batch; it belongs over the keys, dim=-1.": _attend(q, k, v, over=0),
            "There is no softmax: the values are averaged with the raw scores.": (q @ k.transpose(-2, -1) / 2) @ v,
            "q and k are exchanged: rows of the scores belong to queries, q @ k.transpose(-2, -1).": _attend(k, q, v),
            "q and v are exchanged.": _attend(v, k, q),
            "k and v are exchanged: keys are compared with, values are averaged.": _attend(q, v, k),
            "Later positions are hidden, as in a causal model (a decoder); ESM-2 reads in both directions.": _causal(q, k, v),
            "The average is over the keys k; it should be over the values v.": weights @ k,
            "The average is over the queries q; it should be over the values v.": weights @ q,
            "The weights are transposed before they meet the values.": weights.transpose(-2, -1) @ v,
            "These are the values themselves: no position looks at another.": v,
        },
        (
            "The weights of a query do not sum to 1: the average of values that are all 1 is not 1."
            if not torch.allclose(ones, torch.ones_like(ones), atol=1e-4)
            else "The result is not softmax(q kᵀ / √D) v."
        ),
        "3 proteins, 2 heads, 5 positions, D = 4",
    )
    _expect_any_size(attention)


def _expect_any_size(attention):
    sizes = st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 6), st.sampled_from([1, 2, 8, 16]))

    def differs(size):
        q, k, v = _qkv(*size)
        return (attention(q, k, v) - architecture.scaled_dot_product_attention(q, k, v)).abs().max() > 1e-4

    found = smallest(sizes, differs)
    expect(found is None, "The result is right for one size and wrong for another: is a number written where a shape belongs?", found)


_SEEN = torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 0], [0, 1, 1, 1, 0]]).bool()
_MASKED = "mask: True True True False False  →  no query may take anything from the last two positions"


@attention_exercise.step("mask", points=1)
def attention_mask(attention):
    q, k, v = _qkv(batch=3, heads=3)  # as many heads as proteins: a mask that is laid along the wrong axis goes unnoticed by PyTorch
    result = attention(q, k, v, _SEEN)
    expect(
        not result.isnan().any(),
        "The result holds nan: 0 · infinity, or a softmax over nothing but -infinity. Fill only hidden keys, with masked_fill, and leave "
        "the queries alone.",
        _MASKED,
    )
    expect_close(result, _attend(q, k, v, _SEEN), lambda: _mask_mistakes(q, k, v), "The masked result is wrong.", _MASKED)
    everywhere = attention(q, k, v, torch.ones(3, 5).bool())
    expect_close(everywhere, _attend(q, k, v), {}, "A mask that is True everywhere should change nothing.")
    many = _qkv(2, 2, 7, 8, scale=3.0)
    seen = torch.arange(7) < torch.tensor([[4], [6]])
    loud = many[2].masked_fill(~seen[:, None, :, None], 1e6)
    expect_close(
        attention(*many[:2], loud, seen),
        _attend(*many[:2], loud, seen),
        {},
        "Where scores are large, hidden positions still get some weight: put -infinity (or the smallest number) in their place.",
    )


def _mask_mistakes(q, k, v):
    seen = _SEEN[:, None, None, :]
    weights = (q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5).softmax(-1)
    rows = (q @ k.transpose(-2, -1) / 2).masked_fill(~_SEEN[:, None, :, None], -1e30)
    plain = _attend(q, k, v)
    on_query = "The mask hides queries (rows); it says which keys (columns) may be attended to: mask[:, None, None, :]."
    along = "The mask is laid along another axis than the keys: [B, T] needs mask[:, None, None, :]."
    return {
        "The mask is ignored.": plain,
        "You attend to exactly what is to be hidden: True means 'may be attended to' (or your large number has the wrong sign).": _attend(
            q, k, v, ~_SEEN
        ),
        on_query: rows.softmax(-1) @ v,
        on_query + " ": plain * _SEEN[:, None, :, None],
        "The mask comes after the softmax: what is left in a row no longer sums to 1. Hide the scores, then take the softmax.": (
            (weights * seen) @ v
        ),
        "Scores of hidden keys are set to 0; exp(0) is 1, a weight like any other. Set them to -infinity.": _attend(
            q, k, v, _SEEN, logits=lambda scores, seen: scores * seen
        ),
        "The mask is added as the number 0 or 1; that only nudges the scores. Hidden ones must become -infinity.": _attend(
            q, k, v, _SEEN, logits=lambda scores, seen: scores + seen
        ),
        "Rows of hidden queries are set to zero; only keys are hidden, every query gets an answer.": (
            _attend(q, k, v, _SEEN) * _SEEN[:, None, :, None]
        ),
        "Keys and queries are hidden; the mask is about keys alone, every query gets an answer.": (
            (q @ k.transpose(-2, -1) / 2).masked_fill(~(seen & _SEEN[:, None, :, None]), -1e30).softmax(-1) @ v
        ),
        along: _attend(q, k, v, _SEEN, logits=lambda scores, seen: scores.masked_fill(~_SEEN[None, :, None, :], -1e30)),
        "The mask of the first protein is used for all.": _attend(q, k, v, _SEEN[:1].expand(3, -1)),
    }


@attention_exercise.step("large, half, gradient", points=1)
def attention_robust(attention):
    q, k, v = _qkv(scale=30.0)
    result = attention(q, k, v)
    expect(result.isfinite().all(), "For large scores the result is not finite: exp overflows. torch.softmax takes care of that.")
    expect_close(result, _attend(q, k, v), {}, "For large scores the result is wrong.")
    half = [part.bfloat16() for part in _qkv()]
    expect(
        attention(*[part.half() for part in _qkv()], _SEEN).isfinite().all(),
        "In float16 with a mask the result is not finite: -1e9 does not fit into float16, -torch.inf does.",
    )
    expect(attention(*half).dtype == torch.bfloat16, f"The input is bfloat16, the result {attention(*half).dtype}: keep the input's dtype.")
    leaves = [part.requires_grad_() for part in _qkv()]
    result = attention(*leaves, _SEEN)
    expect(result.requires_grad, "The result has no gradient: no .detach(), no torch.no_grad() here; a model must learn through it.")
    gradients = torch.autograd.grad(result.square().sum(), leaves)
    expect(all(gradient.isfinite().all() for gradient in gradients), "A gradient is not finite.")


# ------------------------------------------------------------------------------------------------------ 2.2 apply_rotary

rotary_exercise = Exercise(
    "2.2",
    [architecture.apply_rotary],
    hints=[
        "A pair of numbers is a point in the plane. Turn it by an angle: (a, b) becomes (a cos − b sin, b cos + a sin).",
        (
            "Angles have shape [T, D/2]: position times 10,000^(−2i/D). x.chunk(2, dim=-1) gives the two halves: a is the first, b the"
            " second number of each pair. [T, D/2] broadcasts against [B, H, T, D/2] by itself."
        ),
        (
            "angle = torch.arange(T).float()[:, None] * 10_000 ** (-torch.arange(0, D, 2).float() / D); a, b = x.chunk(2, dim=-1);"
            " torch.cat([a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()], dim=-1).to(x.dtype), for q and for k."
        ),
    ],
)


def _halves(x, angle):
    """Turn pair (i, i + D/2) of x by angle[..., i]."""
    a, b = x.chunk(2, -1)
    return torch.cat([a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()], -1)


def _neighbours(x, angle):
    """Turn pair (2i, 2i + 1) of x by angle[..., i]: the other convention."""
    a, b = x[..., ::2], x[..., 1::2]
    return torch.stack([a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()], -1).flatten(-2)


def _angles(length, dim, base=10_000.0, step=2, start=0):
    return (start + torch.arange(length).float())[:, None] * base ** (-step * torch.arange(dim // 2).float() / dim)


def _rotary_mistakes(x):
    """What common mistakes make of x [B, H, T, D], from sentence to value."""
    return _wrong_angles(x) | _wrong_turns(x)


def _wrong_angles(x):
    heads, length, dim = x.shape[1:]
    angle, wide = _angles(length, dim), _angles(length, heads * dim)
    together = x.transpose(1, 2).flatten(2)
    exponent = "The exponent is off by a factor of two: pair i turns by position · 10,000^(−2i/D), i from 0 to D/2 − 1."
    return {
        "Positions are counted from 1; asked for is from 0. (Scores would not change, the vectors do.)": _halves(
            x, _angles(length, dim, start=1)
        ),
        "The rotation runs in the opposite direction: (a, b) becomes (a cos − b sin, b cos + a sin).": _halves(x, -angle),
        "The base is 1,000; asked for is 10,000.": _halves(x, _angles(length, dim, base=1_000.0)),
        "The base is 100,000; asked for is 10,000.": _halves(x, _angles(length, dim, base=100_000.0)),
        exponent: _halves(x, _angles(length, dim, step=1)),
        exponent + " ": _halves(x, _angles(length, dim, step=4)),
        "The exponent lacks its minus sign: the angles should shrink from pair to pair.": _halves(x, _angles(length, dim, step=-2)),
        "The exponents run from 0 to 1, both included, as torch.linspace gives them; they are 2i/D, which never reaches 1.": _halves(
            x, torch.arange(length).float()[:, None] * 10_000.0 ** -torch.linspace(0, 1, dim // 2)
        ),
        "The order of the angles is turned round: the first pair turns fastest, the last one slowest.": _halves(x, angle.flip(-1)),
        "All pairs turn at the same pace; pair i turns by position · 10,000^(−2i/D).": _halves(x, _angles(length, dim, base=1.0)),
        "Positions run along the heads; they belong along dimension 2, T.": _halves(x, _angles(heads, dim)[:, None]),
        "All positions turn by the same angle: multiply by the position.": _halves(x, _angles(length, dim)[1]),
        "The angles are spread over all heads together; each head has the same angles, from its own D.": (
            _halves(together, wide).unflatten(-1, (heads, dim)).transpose(1, 2)
        ),
        "Sine and cosine are exchanged.": _halves(x, math.pi / 2 - angle),
        "The angles are taken as degrees; torch.cos wants radians, so no conversion is needed.": _halves(x, angle * math.pi / 180),
        "The angles are stretched by 2π; they are radians as they are.": _halves(x, angle * 2 * math.pi),
    }


def _wrong_turns(x):
    length, dim = x.shape[2:]
    angle = _angles(length, dim)
    a, b = x.chunk(2, -1)
    cos, sin = angle.cos().repeat_interleave(2, -1), angle.sin().repeat_interleave(2, -1)
    return {
        "Nothing is rotated.": x,
        "Your pairs are neighbours (0 and 1, 2 and 3); ESM-2 pairs the first half with the second (i with i + D/2).": _neighbours(x, angle),
        "The second half of the numbers is not rotated: pairs are made of all D.": torch.cat(
            [_halves(a, _angles(length, dim // 2)), b], -1
        ),
        "A minus sign is missing: the new first half is a cos − b sin.": torch.cat(
            [a * angle.cos() + b * angle.sin(), b * angle.cos() + a * angle.sin()], -1
        ),
        "The halves are not exchanged before they meet the sine: a cos − b sin, b cos + a sin.": torch.cat(
            [a * angle.cos() - a * angle.sin(), b * angle.cos() + b * angle.sin()], -1
        ),
        "The second half is computed with the new first half: a is a view, and was overwritten.": torch.cat(
            [new := a * angle.cos() - b * angle.sin(), b * angle.cos() + new * angle.sin()], -1
        ),
        "Sines and cosines are added to x; asked for is a rotation of its pairs.": x + torch.cat([angle.sin(), angle.cos()], -1),
        "The angles belong to neighbouring pairs, the rotation to half-split ones: repeat the angles with torch.cat, not repeat_interleave.": (
            x * cos + torch.cat([-b, a], -1) * sin
        ),
        "You split into halves but join as neighbours: put the two turned halves together with torch.cat.": (
            torch.stack([a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()], -1).flatten(-2)
        ),
        "The second half is not turned as a partner of the first: it is b cos + a sin.": torch.cat(
            [a * angle.cos() - b * angle.sin(), a * angle.cos() + b * angle.sin()], -1
        ),
    }


@rotary_exercise.step("two tensors", points=0)
def rotary_shape(apply_rotary):
    q, k, _ = _qkv()
    result = apply_rotary(q, k)
    expect(
        isinstance(result, (tuple, list)) and len(result) == 2,
        f"apply_rotary returned a {type(result).__name__}; asked for are two tensors: (q, k).",
    )
    for part in result:
        _expect_tensor("apply_rotary", part, q.shape)


@rotary_exercise.step("angles", points=2)
def rotary_angles(apply_rotary):
    q, k, _ = _qkv(batch=2, heads=3, length=7, dim=8)
    new_q, new_k = apply_rotary(q, k)
    right_q, right_k = architecture.apply_rotary(q, k)
    expect(not (torch.allclose(new_q, right_k) and torch.allclose(new_k, right_q)), "The results are exchanged: (q, k) is asked for.")
    expect(
        not (torch.allclose(new_k, k) and torch.allclose(new_q, right_q, atol=1e-4)),
        "k is not rotated; with k left as it is, scores depend on where the query stands, not on the distance.",
    )
    expect(not (torch.allclose(new_q, q) and torch.allclose(new_k, right_k, atol=1e-4)), "q is not rotated, only k is; both are to be.")
    for name, old, new, right in (("q", q, new_q, right_q), ("k", k, new_k, right_k)):
        expect_close(new, right, lambda: _rotary_mistakes(old), f"The rotated {name} is wrong.", _first_wrong(new, right))


def _first_wrong(new, right):
    """The first number that is wrong, in words."""
    places = ((new - right).abs() > 1e-4).nonzero().tolist()
    if not places:
        return None
    b, h, t, d = places[0]
    return f"position {t}, dimension {d} of {right.shape[-1]}: {new[b, h, t, d]:.3f}, asked for is {right[b, h, t, d]:.3f}"


@rotary_exercise.step("any size", points=1)
def rotary_sizes(apply_rotary):
    sizes = st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 9), st.sampled_from([2, 4, 6, 16]))

    def differs(size):
        q, k, _ = _qkv(*size)
        return any((new - right).abs().max() > 1e-4 for new, right in zip(apply_rotary(q, k), architecture.apply_rotary(q, k)))

    found = smallest(sizes, differs)
    expect(found is None, "The rotation is right for one shape and wrong for another.", found and f"shape {list(found)}")
    q, k, _ = _qkv(1, 1, 1500, 4)  # longer than ESM-2's training crops
    for new, right in zip(apply_rotary(q, k), architecture.apply_rotary(q, k)):
        expect((new - right).abs().max() < 0.01, "At 1,500 positions the rotation is wrong.", _first_wrong(new, right))


@rotary_exercise.step("half precision", points=1)
def rotary_precision(apply_rotary):
    for dtype in (torch.bfloat16, torch.float16, torch.float64):
        q, k, _ = (part.to(dtype) for part in _qkv(1, 2, 600, 16))
        results = apply_rotary(q, k)
        for new in results:
            expect(new.dtype == dtype, f"The input is {dtype}, the result {new.dtype}: return the input's dtype, .to(q.dtype).")
        for new, right in zip(results, architecture.apply_rotary(q, k)):
            off = (new.double() - right.double()).abs().amax((0, 1, 3))
            position = int((off > 0.1).nonzero()[0]) if (off > 0.1).any() else 0
            expect(
                off.max() < 0.1,
                f"In {dtype} the rotation goes astray from position {position} on: that type has too few digits for positions and angles."
                " Compute the angles in float32, whatever the input is.",
            )


# -------------------------------------------------------------------------------- what both classes are tested with

_SWIGLU = "SwiGLU has a gate, ESM-2's feed-forward network has none: fc2(gelu(fc1(x))), 4 times as wide as dim."


def _parameters(module):
    return dict(module.named_parameters(remove_duplicate=False))  # a tied weight under each of its names


def _expect_parameters(name, module, reference):
    """The same parameters as the reference: names, shapes, and none beside them."""
    wanted, there = _parameters(reference), _parameters(module)
    for shared in ({"norm1.weight", "norm2.weight"}, {"query.weight", "key.weight"}, {"blocks.0.fc1.weight", "blocks.1.fc1.weight"}):
        found = [there[part] for part in sorted(shared) if part in there]
        one, other = (part.removesuffix(".weight") for part in sorted(shared))
        expect(
            len(found) < 2 or found[0] is not found[1], f"{one} and {other} are one and the same module; each needs parameters of its own."
        )
    missing = [part for part in wanted if part not in there]
    extra = [part for part in there if part not in wanted and not any(there[part] is there.get(other) for other in wanted)]
    _explain_missing(module, missing, extra)
    expect(
        not missing,
        f"{name} lacks {_some(missing)}" + (f"; it has {_some(extra)} instead." if extra else ". Modules are found by their names."),
    )
    for part in wanted:
        shapes = [list(parameters[part].shape) for parameters in (there, wanted)]
        gate = "fc1 goes from dim to 4 · dim, fc2 back." if "fc" in part else "nn.Linear(a, b) has a weight of shape [b, a]." if "weight" in part else ""
        expect(shapes[0] == shapes[1], f"{part} has shape {shapes[0]}; asked for is {shapes[1]}. {gate}".strip())
    untied = [part for part in extra if list(there[part].shape) == list(getattr(wanted.get("embed.weight"), "shape", []))]
    expect(not untied, f"{untied[:1]} is a second table of token vectors: the output weight is tied, it is embed.weight itself.")
    more = " There is no LayerNorm on the embedding, no table of positions and no output layer." if "embed.weight" in wanted else ""
    expect(not extra, f"{name} has parameters that ESM-2 does not have: {_some(extra)}.{more}")


def _explain_missing(module, missing, extra):
    lists = [name for name, value in vars(module).items() if isinstance(value, list) and any(isinstance(m, torch.nn.Module) for m in value)]
    expect(not lists, f"{''.join(lists[:1])} is a plain list, so PyTorch does not find its parameters: use torch.nn.ModuleList.")
    plain = [part for part in missing if isinstance(getattr(module, part, None), torch.Tensor)]
    expect(not plain, f"{_some(plain)} is a plain tensor: wrap it in nn.Parameter, or it does not learn.")
    biases = [part for part in missing if part.endswith("bias")]
    expect(
        not missing or len(biases) < len(missing),
        f"{_some(biases)} missing: all of ESM-2's linear layers and norms have biases, also the head.",
    )
    gates = [part for part in extra if "gate" in part or "fc3" in part or "w3" in part]
    expect(not gates, f"{_some(gates)} is too much. {_SWIGLU}")


def _some(names, most=3):
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _filled(module, seed=0, scale=0.4):
    """Draw all parameters anew, norms and biases included, so that none can be left out unnoticed."""
    generator = inputs.generator(seed)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            centre = 1.0 if "norm" in name and name.endswith("weight") else 0.0
            parameter.copy_(centre + scale * torch.randn(parameter.shape, generator=generator))
    return module.eval()


def _with_weights(module, reference):
    """The student's module with the reference's weights, in eval mode."""
    with torch.no_grad():
        there = _parameters(module)
        for name, value in _parameters(reference).items():
            there[name].copy_(value)
    return module.eval()


def _plain_tensor(name, result, shape):
    _expect_tensor(name, result, shape)
    return result.detach()


# -------------------------------------------------------------------------------------------------- 2.3 TransformerBlock

block_exercise = Exercise(
    "2.3",
    [architecture.TransformerBlock],
    hints=[
        "Two sublayers of the same form: x + sublayer(norm(x)). The first lets positions talk, the second works on each position alone.",
        (
            "Heads: x [B, T, dim] becomes [B, T, heads, dim / heads], then .transpose(1, 2) gives [B, heads, T, dim / heads]. Going back,"
            " transpose first, then flatten the last two. q and k are rotated, v is not."
        ),
        (
            "h = self.norm1(x); q = self.query(h).unflatten(-1, (heads, -1)).transpose(1, 2), the same for k and v; q, k = apply_rotary(q,"
            " k); x = x + self.out(attention(q, k, v, mask).transpose(1, 2).flatten(2)); return x +"
            " self.fc2(F.gelu(self.fc1(self.norm2(x))))."
        ),
    ],
)


def _split(x, heads):
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def _turn(x):
    return _halves(x, _angles(*x.shape[-2:]))


def _merge(x):
    return x.transpose(1, 2).flatten(2)


class _Block:
    """A block with exchangeable parts, for working out what a mistake gives. ``weights``: the parameters by name."""

    RIGHT = {
        "gelu": F.gelu,
        "rotate": "qk",
        "second": "norm2",
        "out": True,
        "split": _split,
        "merge": _merge,
        "mask": None,
        "attend": _attend,
    }
    RIGHT |= {"names": ("query", "key", "value"), "before": lambda x: x, "after": lambda x: x, "last": lambda x: x}

    def __init__(self, weights, heads, **options):
        self.weights, self.heads, self.use = weights, heads, self.RIGHT | options

    def norm(self, name, x):
        return F.layer_norm(x, x.shape[-1:], self.weights[f"{name}.weight"], self.weights[f"{name}.bias"])

    def linear(self, name, x):
        return F.linear(x, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"])

    def attention(self, h):
        before, after = self.use["before"], self.use["after"]  # what is done to queries and keys around their linear layers
        q, k = (after(self.linear(name, before(h))) for name in self.use["names"][:2])
        q, k, v = (self.use["split"](part, self.heads) for part in (q, k, self.linear(self.use["names"][2], h)))
        q, k, v = (_turn(part) if name in self.use["rotate"] else part for name, part in zip("qkv", (q, k, v)))
        found = self.use["merge"](self.use["attend"](q, k, v, self.use["mask"]))
        return self.linear("out", found) if self.use["out"] else found

    def feed(self, h):
        return self.use["last"](self.linear("fc2", self.use["gelu"](self.linear("fc1", h))))

    def __call__(self, x):
        x = x + self.attention(self.norm("norm1", x))
        return x + self.feed(self.norm(self.use["second"], x))

    def other_orders(self, x):
        """Mistakes in what is normalised and what is added, from sentence to value."""
        first = self.attention(self.norm("norm1", x))
        middle = x + first
        fed = self.feed(self.norm("norm2", middle))
        post = self.norm("norm1", x + self.attention(x))
        from_normal = self.norm("norm1", x) + first
        branch = x + self.norm("norm1", self.attention(x))
        reverse = x + self.feed(self.norm("norm2", x))
        return {
            "This is post-LN (the norm after the sum); ESM-2 is pre-LN: x + sublayer(norm(x)).": self.norm("norm2", post + self.feed(post)),
            "The residual around the attention is missing: x = x + attention(norm1(x)).": first + self.feed(self.norm("norm2", first)),
            "The residual around the feed-forward network is missing: return x + feed_forward(norm2(x)).": fed,
            "Both residuals are missing: x + sublayer(norm(x)), twice.": self.feed(self.norm("norm2", first)),
            "The normalised input is added instead of the input: x + attention(norm1(x)), not norm1(x) + attention(norm1(x)).": (
                self.norm("norm2", from_normal) + self.feed(self.norm("norm2", from_normal))
            ),
            "After the attention the normalised input is added instead of the input.": (
                from_normal + self.feed(self.norm("norm2", from_normal))
            ),
            "After the feed-forward network the normalised x is added instead of x.": self.norm("norm2", middle) + fed,
            "The feed-forward network gets the block's input; it should get what the attention has made of it.": (
                middle + self.feed(self.norm("norm2", x))
            ),
            "The second residual adds the block's input; it starts from the result of the first sum.": x + fed,
            "The norms are applied to what the sublayers return; pre-LN normalises what they read: x + sublayer(norm(x)).": (
                branch + self.norm("norm2", self.feed(branch))
            ),
            "The order is turned round: attention first, then the feed-forward network.": (
                reverse + self.attention(self.norm("norm1", reverse))
            ),
            "norm1 is not used: attention works on the normalised input.": (
                x + self.attention(x) + self.feed(self.norm("norm2", x + self.attention(x)))
            ),
            "norm2 is not used: the feed-forward network works on the normalised x.": middle + self.feed(middle),
            "The attention is missing.": x + self.feed(self.norm("norm2", x)),
            "The feed-forward network is missing.": middle,
        }


def _block_mistakes(weights, heads, x):
    def variant(**parts):
        return _Block(weights, heads, **parts)(x)

    return _Block(weights, heads).other_orders(x) | _wrong_feeds(variant) | _wrong_heads(variant, heads, x)


def _wrong_feeds(variant):
    return {
        "norm1 is used twice; the feed-forward network has its own, norm2.": variant(second="norm1"),
        "This GELU is the tanh approximation; ESM-2 uses the exact one, F.gelu(x).": variant(
            gelu=functools.partial(F.gelu, approximate="tanh")
        ),
        "This is ReLU; ESM-2 uses GELU.": variant(gelu=F.relu),
        "This is SiLU (Swish); ESM-2 uses GELU.": variant(gelu=F.silu),
        "This GELU is the approximation x · sigmoid(1.702 x); ESM-2 uses the exact one (erf), F.gelu(x).": variant(
            gelu=lambda h: h * torch.sigmoid(1.702 * h)
        ),
        "There is no activation between fc1 and fc2.": variant(gelu=lambda h: h),
        "There is a GELU after fc2, too; the only one is between fc1 and fc2.": variant(last=F.gelu),
        "The GELU stands after fc2; it belongs between fc1 and fc2.": variant(gelu=lambda h: h, last=F.gelu),
    }


def _wrong_heads(variant, heads, x):
    dim, length = x.shape[-1], x.shape[1]
    scale = {name: functools.partial(_attend, scale=value) for name, value in (("none", 1), ("all", dim**-0.5), ("d", heads / dim))}
    reshaped = "Heads are cut out with view(B, heads, T, D), which mixes positions: view(B, T, heads, D) first, then transpose(1, 2)."
    columns = "The split into heads is wrong: each head has D neighbouring columns, view(B, T, heads, D), not view(B, T, D, heads)."
    dealt = lambda h, n: h.unflatten(-1, (-1, n)).permute(0, 3, 1, 2)  # noqa: E731
    back = "On the way back the heads are flattened without transpose(1, 2): positions and heads get mixed."
    return {
        "Positions play no part: apply_rotary is missing, or it is called before .transpose(1, 2) and turns along the heads.": variant(rotate=""),
        "The values are rotated, too; only q and k are.": variant(rotate="qkv"),
        "Only q is rotated.": variant(rotate="q"),
        "Only k is rotated.": variant(rotate="k"),
        "The projection self.out is missing after the heads.": variant(out=False),
        reshaped: variant(split=lambda h, n: h.reshape(len(h), n, length, -1)),
        reshaped + " ": variant(split=lambda h, n: h.reshape(len(h), n, length, -1), merge=lambda found: found.reshape(x.shape)),
        back: variant(merge=lambda found: found.reshape(x.shape)),
        columns: variant(split=dealt, merge=lambda found: found.permute(0, 2, 3, 1).flatten(2)),
        columns + " ": variant(split=dealt),
        "q and k are rotated before the split into heads, across all of dim; each head turns by itself, from its own D.": variant(
            rotate="", after=_turn
        ),
        "The block's input is rotated; rotate q and k, after their linear layers and per head.": variant(rotate="", before=_turn),
        "The keys come from self.query; they have a layer of their own, self.key.": variant(names=("query", "query", "value")),
        "The values come from self.key; they have a layer of their own, self.value.": variant(names=("query", "key", "key")),
        "query and key are exchanged.": variant(names=("key", "query", "value")),
        "Later tokens are hidden, as in a causal model (a decoder); ESM-2 reads in both directions.": variant(attend=_causal),
        "The scores are not scaled: divide them by √D, the square root of a head's width.": variant(attend=scale["none"]),
        "The scores are divided by the square root of the whole dim; D is the width of one head, dim / heads.": variant(
            attend=scale["all"]
        ),
        "The scores are divided by D; asked for is its square root.": variant(attend=scale["d"]),
        "There is one head over the whole dim: split into heads.": variant(split=lambda h, n: h[:, None]),
    }


_SIZES = [(16, 2), (24, 3), (32, 2)]


def _new_block(student, dim, heads, seed=0):
    reference = _filled(architecture.TransformerBlock(dim, heads), seed)
    return _with_weights(student(dim, heads), reference), reference


@block_exercise.step("runs", points=0)
def block_runs(TransformerBlock):
    x = _normal(2, 7, 16)
    block = TransformerBlock(16, 2)
    _expect_tensor("TransformerBlock.forward", block(x), x.shape)


@block_exercise.step("modules", points=1)
def block_modules(TransformerBlock):
    for dim, heads in _SIZES:
        _expect_parameters("TransformerBlock", TransformerBlock(dim, heads), architecture.TransformerBlock(dim, heads))


@block_exercise.step("output", points=1)
@torch.no_grad()
def block_output(TransformerBlock):
    for dim, heads in _SIZES:
        block, reference = _new_block(TransformerBlock, dim, heads)
        x = _normal(2, 7, dim)
        result = _plain_tensor("TransformerBlock.forward", block(x), x.shape)
        expect(torch.equal(result, block(x)), "Two calls in eval mode give two answers: ESM-2 has no dropout (its rate is 0).")
        expect_close(
            result,
            reference(x),
            lambda: _block_mistakes(_parameters(reference), heads, x),
            "With the same weights the output is not that of ESM-2's block.",
            f"TransformerBlock({dim}, {heads}), x of shape {list(x.shape)}",
        )
        _expect_eps(block, reference, dim)
        again = block.train()(x)
        expect(torch.allclose(result, again, atol=1e-5), "In training mode the output differs: ESM-2 has no dropout (its rate is 0).")


def _expect_eps(block, reference, dim):
    x = _normal(2, 7, dim, scale=3e-3)  # its variance is close to eps
    expect_close(
        block(x),
        reference(x),
        {},
        "For inputs close to zero the output is wrong: LayerNorm's eps is 1e-5, PyTorch's default.",
        tolerance=1e-3,
    )


@block_exercise.step("mask", points=1)
@torch.no_grad()
def block_mask(TransformerBlock):
    block, reference = _new_block(TransformerBlock, 16, 2, seed=1)
    x, weights = _normal(3, 5, 16), _parameters(reference)
    expect_close(block(x, torch.ones(3, 5).bool()), block(x), {}, "A mask that is True everywhere should change nothing.")
    result, real = block(x, _SEEN), _SEEN[..., None]
    expect(not result.isnan().any(), "With a mask the output holds nan.")
    expect_close(
        result * real,  # what stands at padding, nobody reads
        reference(x, _SEEN) * real,
        lambda: {
            "The mask is not handed on to the attention.": reference(x) * real,
            "The mask is turned round: True means 'may be attended to'.": _Block(weights, 2, mask=~_SEEN)(x) * real,
        },
        "With padding the output is wrong.",
        _MASKED,
    )


@block_exercise.step("learns", points=1)
def block_learns(TransformerBlock):
    block, reference = _new_block(TransformerBlock, 16, 2)
    _expect_gradients(block, reference, _normal(2, 7, 16), torch.ones(2, 7).bool())


def _expect_gradients(module, reference, *inputs):
    """All parameters must get the gradients that they get in the reference."""
    for one in (module, reference):
        result = one(*inputs)
        expect(
            result.requires_grad, "The output has no gradient: no .detach(), no torch.no_grad() in forward; a model must learn through it."
        )
        result.square().sum().backward()
    there, wanted = _parameters(module), _parameters(reference)
    silent = [name for name in wanted if there[name].grad is None]
    expect(not silent, f"No gradient reaches {_some(silent)}: no .detach(), no .data, no torch.no_grad() in forward.")
    wrong = [name for name in wanted if not torch.allclose(there[name].grad, wanted[name].grad, rtol=1e-2, atol=1e-2)]
    expect(not wrong, f"The output is right, but not the gradient of {_some(wrong)}: no .detach(), no .data, no torch.no_grad().")


# ---------------------------------------------------------------------------------------------------------- 2.4 MiniESM2

model_exercise = Exercise(
    "2.4",
    [architecture.MiniESM2],
    hints=[
        (
            "Embed, zero what is <mask> or padding, rescale; run the blocks, the last norm, then the head: dense, GELU, norm, and a product"
            " with the embedding table."
        ),
        (
            "Token dropout: per protein, n = tokens that are not padding, m = those that are <mask>; multiply by 0.88 / (1 − m / n)."
            " The blocks get tokens != 1 as mask. The output weight is self.embed.weight, so there is no layer for it."
        ),
        (
            "real = tokens != 1; masked = tokens == 32; x = self.embed(tokens) * (real & ~masked)[..., None]; x = x * (0.88 / (1 -"
            " masked.sum(1) / real.sum(1)))[:, None, None]; blocks; x = self.head_norm(F.gelu(self.head_dense(self.norm(x)))); x @"
            " self.embed.weight.T + self.head_bias."
        ),
    ],
)

# for each token id the one that stands in its place, as inputs.protein has it
_RENAMED = torch.tensor([TOKEN_ID[inputs.protein(token) if len(token) == 1 else token] for token in TOKENS])
_ONE = _RENAMED[torch.tensor([[0, 20, 15, 11, 5, 19, 12, 2]])]
_MASKS = _RENAMED[torch.tensor([[0, 20, MASK, 11, 5, MASK, 12, 8, 4, 2]])]
_BATCH = _RENAMED[
    torch.tensor([[0, 20, MASK, 11, 5, 19, 12, 2], [0, 8, 7, MASK, 2, PAD, PAD, PAD], [0, 15, 2, PAD, PAD, PAD, PAD, PAD]])
]


def _shown(tokens):
    """One protein's tokens, [1, T], as text."""
    return " ".join(TOKENS[i] for i in tokens[0])


class _Model:
    """ESM-2 with exchangeable parts, for working out what a mistake gives."""

    RIGHT = {"rescale": True, "train_share": 0.12, "share": None, "zero": True, "pads": True, "seen": None, "depth": None, "norm": True}
    RIGHT |= {"dense": True, "gelu": F.gelu, "head_norm": True, "bias": True, "power": 1}
    RIGHT |= {"factor": 1, "reverse": False, "each": False, "first": False, "order": ("gelu", "head_norm"), "head": "head_norm"}

    def __init__(self, reference, heads, **options):
        self.weights, self.heads, self.use = _parameters(reference), heads, self.RIGHT | options

    def __call__(self, tokens):
        use, weights = self.use, self.weights
        real, masked = tokens != PAD, tokens == MASK
        x = weights["embed.weight"][tokens]
        x = x * (~masked if use["zero"] else torch.ones_like(masked))[..., None] * (real | (not use["pads"]))[..., None]
        if use["rescale"]:
            share = use["share"](real, masked) if use["share"] else masked.sum(1) / real.sum(1)
            x = x * use["factor"] * (((1 - use["train_share"]) / (1 - share)) ** use["power"]).expand(len(x))[:, None, None]
        x = self._norm("norm", x) if use["first"] else x
        indices = range(1 + max(int(name.split(".")[1]) for name in weights if name.startswith("blocks.")))[: use["depth"]]
        for index in reversed(indices) if use["reverse"] else indices:
            own = {name.removeprefix(f"blocks.{index}."): value for name, value in weights.items()}
            x = _Block(own, self.heads, mask=use["seen"](real) if use["seen"] else real)(x)
            x = self._norm("norm", x) if use["each"] and index != indices[-1] else x
        return self._head(x, use)

    def _norm(self, name, x):
        return F.layer_norm(x, x.shape[-1:], self.weights[f"{name}.weight"], self.weights[f"{name}.bias"])

    def _head(self, x, use):
        weights = self.weights
        x = self._norm("norm", x) if use["norm"] and not use["first"] else x
        x = F.linear(x, weights["head_dense.weight"], weights["head_dense.bias"]) if use["dense"] else x
        for part in use["order"]:
            if part == "gelu" and use["dense"]:
                x = use["gelu"](x)
            elif part == "head_norm" and use["head_norm"]:
                x = self._norm(use["head"], x)
        return x @ weights["embed.weight"].T + (weights["head_bias"] if use["bias"] else 0)


def _model_mistakes(reference, heads, tokens):
    def variant(**parts):
        return _Model(reference, heads, **parts)(tokens)

    return (
        _wrong_layers(variant) | _wrong_inputs(variant, tokens) | {
            "The embeddings are multiplied by the square root of dim, as in the first transformer; ESM-2 does not do that.": variant(
                factor=len(reference.norm.weight) ** 0.5
            ),
            "These are probabilities; asked for are the logits, before any softmax.": reference(tokens).softmax(-1),
            "These are log-probabilities; asked for are the logits, before any softmax.": reference(tokens).log_softmax(-1),
        }
    )


def _wrong_inputs(variant, tokens):
    return {
        "The embeddings are not rescaled: without any <mask> they are multiplied by 0.88 = 1 − 0.15 · 0.8.": variant(rescale=False),
        "The embeddings are multiplied by 0.85; of the 15 % only 80 % become <mask>: 1 − 0.15 · 0.8 = 0.88.": variant(train_share=0.15),
        "The embeddings are only divided by (1 − share of <mask>); the factor 0.88 is missing.": variant(train_share=0.0),
        "The factor is upside down: it is 0.88 / (1 − share of <mask>).": variant(power=-1),
        "The embedding of <mask> is not set to zero.": variant(zero=False),
        "<mask> is neither set to zero nor made up for.": variant(zero=False, rescale=False),
        "The share of <mask> is ignored: always 0.88, where it should be 0.88 / (1 − share of <mask> in that protein).": variant(
            share=lambda real, masked: torch.zeros(1)
        ),
        "The share of <mask> counts padding: divide by the number of tokens that are not padding.": variant(
            share=lambda real, masked: masked.float().mean(1)
        ),
        "The share of <mask> is taken over residues only; <cls> and <eos> count as tokens, too.": variant(
            share=lambda real, masked: masked.sum(1) / (tokens > 2).sum(1)
        ),
        "The share of <mask> is taken over the whole batch; it is each protein's own.": variant(
            share=lambda real, masked: masked.sum()[None] / real.sum()
        ),
        "Padding is not hidden from the attention: hand tokens != 1 to each block.": variant(seen=lambda real: torch.ones_like(real)),
        "Padding is neither hidden from the attention nor set to zero.": variant(seen=lambda real: torch.ones_like(real), pads=False),
        "The mask for the blocks is turned round: tokens != 1 is True at real tokens.": variant(seen=lambda real: ~real),
        "<mask> is hidden from the attention like padding; only padding is.": variant(seen=lambda real: real & (tokens != MASK)),
    }


def _wrong_layers(variant):
    return {
        "The norm after the last block is missing: self.norm.": variant(norm=False),
        "The head's GELU is missing.": variant(gelu=lambda x: x),
        "The head's GELU is the tanh approximation; ESM-2 uses the exact one.": variant(gelu=functools.partial(F.gelu, approximate="tanh")),
        "The head has ReLU; ESM-2 uses GELU.": variant(gelu=F.relu),
        "The head's LayerNorm is missing: head_norm, after the GELU.": variant(head_norm=False),
        "head_dense and its GELU are missing.": variant(dense=False),
        "head_bias is not added.": variant(bias=False),
        "head_dense, its GELU and head_norm are missing: this is the model without the head.": variant(dense=False, head_norm=False),
        "The order in the head is wrong: head_norm comes after the GELU.": variant(order=("head_norm", "gelu")),
        "The head uses self.norm a second time; it has a LayerNorm of its own, head_norm.": variant(head="norm"),
        "No block is run.": variant(depth=0),
        "Only the first block is run.": variant(depth=1),
        "The last block is not run.": variant(depth=-1),
        "The blocks are run in reverse order.": variant(reverse=True),
        "self.norm stands in the loop, after each block; it belongs after the last block only.": variant(each=True),
        "self.norm comes before the blocks; it belongs after the last block.": variant(first=True),
    }


def _new_model(student, layers=2, dim=16, heads=2):
    reference = _filled(architecture.MiniESM2(layers, dim, heads))
    return _with_weights(student(layers, dim, heads), reference), reference


def _expect_logits(model, reference, heads, tokens, otherwise, case):
    """The right logits at all tokens but padding."""
    real = (tokens != PAD)[..., None]
    result = _plain_tensor("MiniESM2.forward", model(tokens), [*tokens.shape, 33])
    expect(not (result * real).isnan().any(), "The logits hold nan.", case)
    off, training = ((part - reference(tokens)) * real for part in (result, model.train()(tokens)))
    model.eval()
    expect(
        off.abs().max() < 1e-3 or training.abs().max() > 1e-3,
        "The logits are right in training mode and wrong in use (eval): token dropout is always active.",
    )
    mistakes = lambda: {sentence: value * real for sentence, value in _model_mistakes(reference, heads, tokens).items()}  # noqa: E731
    expect_close(result * real, reference(tokens) * real, mistakes, otherwise, case)


@model_exercise.step("runs", points=0)
def model_runs(MiniESM2):
    model = MiniESM2(2, 16, 2)
    _expect_tensor("MiniESM2.forward", model(_ONE), [1, 8, 33])


@model_exercise.step("modules", points=0)
def model_modules(MiniESM2):
    for size in ((2, 16, 2), (3, 24, 2)):
        _expect_parameters("MiniESM2", MiniESM2(*size), architecture.MiniESM2(*size))


@model_exercise.step("one protein", points=1)
@torch.no_grad()
def model_one(MiniESM2):
    for size in ((3, 16, 2), (2, 24, 2)):
        model, reference = _new_model(MiniESM2, *size)
        case = f"MiniESM2{size} on {_shown(_ONE)}"
        _expect_logits(model, reference, size[2], _ONE, "With the same weights the logits are not those of ESM-2.", case)


@model_exercise.step("token dropout", points=1)
@torch.no_grad()
def model_masks(MiniESM2):
    model, reference = _new_model(MiniESM2)
    case = f"{_shown(_MASKS)}: 2 of 10 tokens are <mask>, so the factor is 0.88 / 0.8"
    _expect_logits(model, reference, 2, _MASKS, "Where the input holds <mask>, the logits are wrong.", case)
    trained = model.train()(_MASKS)
    expect_close(
        trained,
        reference(_MASKS),
        {"Token dropout depends on training mode; it is always active.": _Model(reference, 2, rescale=False, zero=False)(_MASKS)},
        "In training mode the logits differ: there is no dropout in ESM-2, and token dropout is active in both modes.",
    )


@model_exercise.step("padding", points=1)
@torch.no_grad()
def model_padding(MiniESM2):
    model, reference = _new_model(MiniESM2)
    case = "three proteins of 8, 5 and 3 tokens in one batch, <mask> in two of them"
    _expect_logits(model, reference, 2, _BATCH, "In a padded batch the logits are wrong.", case)


@model_exercise.step("learns", points=0)
def model_learns(MiniESM2):
    model, reference = _new_model(MiniESM2)
    _expect_gradients(model, reference, _MASKS)


@model_exercise.step("real weights", points=1)
@torch.no_grad()
def model_real(MiniESM2):
    for plm in (tiny_plm(), course_plm()):
        exact, config = architecture.exact_frequencies(plm), plm.config
        model = MiniESM2(config.num_hidden_layers, config.hidden_size, config.num_attention_heads).eval()
        architecture.copy_weights(plm, model)
        off = ((model(_BATCH) - exact.forward(_BATCH).logits) * (_BATCH != PAD)[..., None]).abs().max().item()
        expect(off < 1e-3, f"With the weights of a loaded model the logits differ from transformers' by up to {off:.2g}.")


# --------------------------------------------------------------------------------------------------- 2.5 count_parameters

count_exercise = Exercise(
    "2.5",
    [architecture.count_parameters],
    hints=[
        (
            "Walk through the model from below: embedding, blocks, last norm, head, contact head. Write down the shape of everything that"
            " learns."
        ),
        (
            "A linear layer from a to b has a·b + b parameters, a norm 2·dim. A block: two norms, four linear layers dim → dim, one dim →"
            " 4·dim, one 4·dim → dim. The output weight is the embedding's: count it once."
        ),
        (
            "33·dim + layers·(12·dim² + 13·dim) + 2·dim for embedding, blocks and norm; dim² + 3·dim + 33 for the head; and"
            " layers·heads + 1 for the contact head."
        ),
    ],
)


def _count_mistakes(layers, dim, heads):
    right, contact, swiglu = architecture.count_parameters(layers, dim, heads), layers * heads + 1, layers * 4 * dim * dim
    return _left_out(right, layers, dim, contact) | {
        "The contact head has one weight per head of one layer; it reads the maps of all layers.": right - contact + heads + 1,
        "The output weight is counted although it is the embedding's: tied weights count once.": right + 33 * dim,
        "The output weight is counted although it is the embedding's, and the contact head is missing.": right + 33 * dim - contact,
        "This is the rule of thumb, 12 · layers · dim²; asked for is the exact number.": 12 * layers * dim * dim,
        "The contact head is counted with 20 heads, whatever the number of heads.": right + layers * (20 - heads),
        "The sum was rounded to seven digits (float32); Python's whole numbers are exact.": int(torch.tensor(right, dtype=torch.float32)),
        "This is the count with SwiGLU's gate; ESM-2's feed-forward network has fc1 and fc2 only.": right + swiglu - layers * 5 * dim,
        "This is the count with SwiGLU's gate (with biases); ESM-2 has fc1 and fc2 only.": right + swiglu + layers * 4 * dim,
        "A table of positions is counted; rotary positions have no parameters.": right + 1026 * dim,
        "A table of 1,024 positions is counted; rotary positions have no parameters.": right + 1024 * dim,
        "The vocabulary has 33 tokens, not 20.": right - 13 * (dim + 1),
        "Each head is counted with matrices of its own over the whole dim: the heads share the four dim → dim layers.": (
            right + layers * 3 * (heads - 1) * (dim * dim + dim)
        ),
        "Only one block is counted.": right - (layers - 1) * (12 * dim * dim + 13 * dim),
    }


def _left_out(right, layers, dim, contact):
    return {
        "The contact head is missing: one weight for each of the layers · heads attention maps, and a bias.": right - contact,
        "The contact head's bias is missing.": right - 1,
        "The biases of the linear layers are missing in the blocks.": right - layers * 9 * dim,
        "The biases of the linear layers are missing, in blocks and head.": right - layers * 9 * dim - dim,
        "The biases of fc1 and fc2 are missing.": right - layers * 5 * dim,
        "fc1 has a bias for each of its 4 · dim outputs.": right - layers * 3 * dim,
        "A block has two LayerNorms, norm1 and norm2.": right - layers * 2 * dim,
        "The embedding of the 33 tokens is missing.": right - 33 * dim,
        "The LayerNorms are missing.": right - layers * 4 * dim - 4 * dim,
        "A LayerNorm has a weight and a bias: 2 · dim.": right - layers * 2 * dim - 2 * dim,
        "One LayerNorm is missing: there is one after the last block and one in the head.": right - 2 * dim,
        "head_dense is missing.": right - dim * dim - dim,
        "The head's bias over the 33 tokens is missing.": right - 33,
        "The whole language-model head is missing: dense layer, norm and bias.": right - dim * dim - 3 * dim - 33,
        "The language-model head and the contact head are missing.": right - dim * dim - 3 * dim - 33 - contact,
        "The projection after the heads is missing: a block has query, key, value and out.": right - layers * (dim * dim + dim),
        "The blocks' LayerNorms are missing, or the biases of the four attention layers (layers · 4 · dim, both).": (
            right - layers * 4 * dim
        ),
    }


@count_exercise.step("a whole number", points=0)
def count_kind(count_parameters):
    result = count_parameters(2, 16, 2)
    expect(
        isinstance(result, int) and not isinstance(result, bool),
        f"The result is {result!r}, a {type(result).__name__}; asked for is a whole number, int.",
    )


@count_exercise.step("8M", points=1)
def count_8m(count_parameters):
    _expect_count(count_parameters, FAMILY["8M"])


@count_exercise.step("six sizes", points=1)
def count_family(count_parameters):
    for size in FAMILY.values():
        _expect_count(count_parameters, size)


def _expect_count(count_parameters, size):
    found, mistakes = count_parameters(size.layers, size.dim, size.heads), _count_mistakes(size.layers, size.dim, size.heads)
    sentence = next((sentence for sentence, value in mistakes.items() if found == value), None)
    expect(found > 100_000, f"{size.name}: {found:,}. Is that in millions? Asked for is the exact number, {size.parameters:,}.")
    sentence = sentence or "More than one part may be off: compare with {n: p.numel() for n, p in MiniESM2(1, 8, 2).named_parameters()}."
    more = f"{abs(found - size.parameters):,} too {'many' if found > size.parameters else 'few'}."
    expect(found == size.parameters, f"{size.name}: {found:,} instead of {size.parameters:,}, {more} {sentence}")


@count_exercise.step("any size", points=1)
def count_any(count_parameters):
    # by a multiple of 12, so that the width of a head stays even
    wider = 12 * (1 + inputs.SEED % 9) if inputs.SEED else 0
    for layers, dim, heads in ((1, 8 + wider, 2), (2, 24 + wider, 3), (5, 16 + wider, 1)):
        built = sum(parameter.numel() for parameter in _on_paper(layers, dim, heads).parameters())
        found = count_parameters(layers, dim, heads)
        sentence = next((text for text, value in _count_mistakes(layers, dim, heads).items() if found == value), "")
        case = f"{layers} layers, dim {dim}, {heads} heads: {found:,} instead of {built:,}"
        expect(found == built, f"Right for the six published sizes, wrong for another. {sentence}".rstrip(), case)


@functools.cache
def _on_paper(layers, dim, heads):
    return untrained(layers, dim, heads).model
