"""Checks of notebook 8: attention_maps, apc, precision_at_l, fit_contact_head, head_profile."""

import copy
import dataclasses
import functools
import warnings

import numpy as np
import torch

from plmcourse import contacts
from plmcourse.checks import inputs
from plmcourse.checks.engine import Exercise, Wrong, expect, expect_close
from plmcourse.checks.tiny import course_plm, tiny_plm

# -------------------------------------------------------------------------------------------------- 8.1 attention_maps

maps_exercise = Exercise(
    "8.1",
    [contacts.attention_maps],
    hints=[
        (
            "Three things to do: make the model write its attention down, put the layers into one tensor, and cut off the rows and columns"
            " that belong to no residue."
        ),
        (
            "With sdpa nothing is written down: plm.model.set_attn_implementation('eager') first. plm.forward(tokens,"
            " output_attentions=True).attentions is then a tuple with one tensor [1, heads, L + 2, L + 2] per layer. <cls> is the first"
            " token, <eos> the last."
        ),
        "return torch.stack(attentions, dim=1)[0, :, :, 1:-1, 1:-1]",
    ],
)


def _loaded(plm, attention="sdpa"):
    """A copy of a model, so that nothing a student does to it is left, with one way of computing attention."""
    plm = dataclasses.replace(plm, model=copy.deepcopy(plm.model))
    plm.model.set_attn_implementation(attention)
    return plm


def _whole(plm, sequence):
    """Attention between all tokens, [layers, heads, L + 2, L + 2]."""
    plm = _loaded(plm, "eager")
    return torch.stack(plm.forward(plm.tokenize([sequence]), output_attentions=True).attentions, dim=1)[0].float()


def _strip(sequence):
    return f"'{sequence}'   →  <cls> {' '.join(sequence)} <eos>"


def _expect_eager(attention_maps, sequence):
    """The model comes as pc.load() gives it, with sdpa; an answer that works with eager alone is told so."""
    sentence = (
        "With the model as pc.load() gives it, you get no attention: sdpa never writes the maps down. Switch first:"
        " plm.model.set_attn_implementation('eager')."
    )
    try:
        result = attention_maps(_loaded(tiny_plm()), sequence)
    except Wrong as wrong:
        with_eager = None
        if "stopped with" in str(wrong):
            try:
                with_eager = attention_maps(_loaded(tiny_plm(), "eager"), sequence)
            except Wrong:
                pass  # then the first error is the one to tell
        expect(with_eager is None, sentence)
        raise
    size = getattr(result, "shape", None)
    expect(not isinstance(result, (tuple, list)) or len(result), sentence)
    expect(size is None or 0 not in size, "The result is empty. " + sentence)
    return result


@maps_exercise.step("four axes")
def maps_shape(attention_maps):
    sequence = inputs.protein("MKTAY")
    result = _expect_eager(attention_maps, sequence)
    expect(
        not isinstance(result, (tuple, list)),
        f"attention_maps returned a {type(result).__name__} of {len(result) if hasattr(result, '__len__') else 0}; asked for is one tensor"
        " [layers, heads, L, L] (torch.stack).",
    )
    shape, whole = tuple(getattr(result, "shape", ())), _whole(tiny_plm(), sequence)
    expect(shape, f"attention_maps returned a {type(result).__name__}; asked for is a tensor [layers, heads, L, L].")
    sentence = _shape_sentence(shape, result, whole)
    expect(
        shape == (3, 2, 5, 5),
        f"For 3 layers, 2 heads and 5 residues the result has shape {list(shape)}; asked for is [3, 2, 5, 5]. {sentence}".strip(),
        _strip(sequence),
    )


def _shape_sentence(shape, result, whole):
    """What a wrong shape comes from, in a sentence; empty if unknown."""
    values, inner = torch.as_tensor(result).detach().float(), whole[..., 1:-1, 1:-1]

    def same(other):
        return values.shape == other.shape and torch.allclose(values, other, atol=1e-4)

    if same(whole[..., 1:, 1:]):
        return "<eos> is still in the maps: cut off the last row and column too."
    if same(whole[..., :-1, :-1]):
        return "<cls> is still in the maps: cut off the first row and column too."
    if shape == (2, 3, 5, 5):
        return "Layers and heads have changed places: layers come first."
    for part, name in ((whole, "<cls> and <eos> are still in, and it"), (inner, "It")):
        if same(part[-1]):
            return f"{name} is the last layer alone: all layers are asked for."
        if same(part[0]) or same(part[:1]):
            return f"{name} is the first layer alone: was the axis of the layers taken for that of the batch?"
    return {
        (3, 2, 7, 7): "<cls> and <eos> are still in the maps: 7 tokens, 5 residues.",
        (3, 2, 6, 6): "<cls> or <eos> is still in the maps.",
        (3, 2, 3, 3): "The first and the last residue are lost: cut one row and column at each end, not two.",
        (3, 2, 5, 7): "The columns of <cls> and <eos> are still in: what residues pay to them is no attention between residues.",
        (3, 2, 7, 5): "The rows of <cls> and <eos> are still in.",
        (3, 2, 5, 6): "One column too many: that of <cls> or <eos> is still in.",
        (3, 2, 6, 5): "One row too many: that of <cls> or <eos> is still in.",
        (3, 1, 2, 5, 5): "The axis of the batch, of size 1, is still in.",
        (1, 3, 2, 5, 5): "The axis of the batch, of size 1, is still in.",
        (3, 5, 5): "One map per layer: is it the average over the heads, or one head? All heads are asked for.",
        (2, 5, 5): "One layer alone: all layers are asked for.",
        (6, 5, 5): "The heads of all layers are in one axis: keep layers and heads apart.",
        (3, 2, 1, 1): "Only the first residue was read: plm.tokenize takes a list, [sequence], and list(sequence) is five proteins.",
    }.get(shape, "")


@maps_exercise.step("between residues", points=2)
def maps_values(attention_maps):
    sequence = inputs.protein("MKTAYIAK")
    whole = _whole(tiny_plm(), sequence)
    result = attention_maps(_loaded(tiny_plm()), sequence)
    values = torch.as_tensor(result).detach().double()
    otherwise = (
        "The maps differ from the model's own attention between residues, softmax(q·k / root of the head's width) with rotary embeddings."
    )
    if (values < 0).any():
        otherwise = "Attention is never negative: is this q·k before the softmax?"
    elif values.sum(-1).max() > 1 + 1e-4:
        otherwise = "A row sums to more than 1, which attention cannot: the softmax runs over the keys, the columns of each row."
    expect_close(result, whole[..., 1:-1, 1:-1], lambda: _map_mistakes(whole), otherwise, _strip(sequence))


def _map_mistakes(whole):
    """What mistakes give, from sentence to maps; ``whole`` has all tokens."""
    inner = whole[..., 1:-1, 1:-1]
    zeroed = whole.clone()
    zeroed[..., [0, -1], :] = 0
    zeroed[..., [0, -1]] = 0
    return {
        "Your maps begin at <cls>, and the last residue is lost: the first residue is token 1.": whole[..., :-2, :-2],
        "Your maps end with <eos>, and the first residue is lost: you cut two at the front.": whole[..., 2:, 2:],
        "Your rows are right, your columns begin at <cls>.": whole[..., 1:-1, :-2],
        "Your rows are right, your columns end with <eos>.": whole[..., 1:-1, 2:],
        "Your columns are right, your rows begin at <cls>.": whole[..., :-2, 1:-1],
        "You renormalise the rows to 1. What went to <cls> and <eos> is gone; leave the rest as it is.": (
            inner / inner.sum(-1, keepdim=True)
        ),
        "You scale each map by its largest value; leave the attention as it is.": inner / inner.amax((-1, -2), keepdim=True),
        "You transpose the maps: row i is what residue i pays, column j what residue j receives.": inner.mT,
        "You symmetrise the maps here already; the exercise asks for the attention as it is.": inner + inner.mT,
        "You symmetrise the maps here already (by the mean); the exercise asks for the attention as it is.": (inner + inner.mT) / 2,
        "The layers come in reverse order: layer 0 is the first.": inner.flip(0),
        "The heads come in reverse order.": inner.flip(1),
        "Layers and heads are mixed up: reshape does not exchange axes, and torch.stack puts the layers first.": (
            inner.transpose(0, 1).reshape(inner.shape)
        ),
        "You apply a softmax to the attention, which has been through one: take the maps as they are.": inner.softmax(-1),
        "You apply a softmax to the attention, which has been through one, before you cut: take the maps as they are.": whole.softmax(-1)[
            ..., 1:-1, 1:-1
        ],
        "These are logarithms of the attention.": inner.log(),
        "All your layers are the last layer.": inner[-1:].expand_as(inner),
        "All your layers are the first layer.": inner[:1].expand_as(inner),
        "All heads of a layer are the same: their average. Each head is asked for.": inner.mean(1, keepdim=True).expand_as(inner),
    }


@maps_exercise.step("any model")
def maps_any(attention_maps):
    for attention in ("sdpa", "eager"):
        for plm, text in ((tiny_plm(), "M"), (tiny_plm(), "MKTAYIAKQRWGDNLVHPSFEC"), (course_plm(), "MKTAYIAKQR")):
            sequence = inputs.protein(text)
            result = attention_maps(_loaded(plm, attention), sequence)
            expect(
                not getattr(result, "requires_grad", False),
                "The maps still carry the graph of the forward pass, which keeps it in memory: run the model under torch.no_grad()"
                " (plm.forward does).",
            )
            expect_close(
                result,
                _whole(plm, sequence)[..., 1:-1, 1:-1],
                {},
                f"For a protein of {len(sequence)} residues and a model of {plm.config.num_hidden_layers} layers loaded with"
                f" attention={attention!r}, the maps differ from the model's own.",
                f"'{sequence}'",
            )
    sequence = inputs.protein("MKT")
    with warnings.catch_warnings(record=True):  # the note on lower case is expected here and not the reader's business
        lower = attention_maps(_loaded(tiny_plm()), sequence.lower())
    expect_close(
        lower,
        _whole(tiny_plm(), sequence)[..., 1:-1, 1:-1],
        {},
        "A sequence in lower case should be read as upper case (plm.tokenize does that).",
        f"'{sequence.lower()}'",
    )


# -------------------------------------------------------------------------------------------------------------- 8.2 apc

apc_exercise = Exercise(
    "8.2",
    [contacts.apc],
    hints=[
        (
            "If a map were nothing but 'how much does i pay' times 'how much does j receive', what would stand at (i, j)? Subtract that"
            " from what does stand there."
        ),
        (
            "Sum over the last axis for the rows, over the one before for the columns, over both for the total. keepdim=True keeps the"
            " shapes such that rows times columns is a table again."
        ),
        "maps - maps.sum(-1, keepdim=True) * maps.sum(-2, keepdim=True) / maps.sum((-2, -1), keepdim=True)",
    ],
)


_SMALL = torch.tensor([[1.0, 2.0], [3.0, 10.0]])  # its sums and their quotients are exact in floating point


def _random_maps(*shape, seed=0):
    """Positive maps with strong and weak rows and columns, which sum to something other than 1."""
    generator = inputs.generator(seed)
    background = 3 * torch.rand(*shape[:-1], 1, generator=generator) * torch.rand(*shape[:-2], 1, shape[-1], generator=generator)
    scale = 1 + torch.rand(*shape[:-2], 1, 1, generator=generator)
    return scale * (background + torch.rand(shape, generator=generator))


def _apc(maps):
    """An independent reference: one map after another, entry by entry from matrix products."""
    flat = maps.double().reshape(-1, *maps.shape[-2:])
    ones = torch.ones(maps.shape[-1], 1, dtype=torch.float64)
    return torch.stack([f - (f @ ones) @ (ones.T @ f) / (ones.T @ f @ ones) for f in flat]).reshape(maps.shape)


def _sums(maps):
    return maps.sum(-1, keepdim=True), maps.sum(-2, keepdim=True), maps.sum((-2, -1), keepdim=True)


def _apc_mistakes(f):
    """What mistakes give for a single map, from sentence to map."""
    f = f.double()
    (r, c, t), n = _sums(f), f.shape[-1]
    expected, both = f - r * c / t, f + f.mT
    off = f * (1 - torch.eye(n))
    (r0, c0, t0), (rb, cb, tb) = _sums(off), _sums(both)
    return {
        "You divide the product of the sums by the mean of the map; with sums above, the total belongs below.": f - r * c / f.mean(),
        "You take means of rows and columns, but divide by the total: use sums throughout, or means throughout.": f - r * c / t / n**2,
        "You leave out the division: the product of the sums has to be divided by the total.": f - r * c,
        "You divide the product of the sums by the number of entries; divide by the total, or with means by the mean of the map.": (
            f - r * c / n**2
        ),
        "You divide by the length; the total of the map is another number, since the rows do not sum to 1.": f - r * c / n,
        "You leave the diagonal out of the sums: all entries count.": f - r0 * c0 / t0,
        "The background is right, but then you set the diagonal to zero: leave it as it comes out.": expected * (1 - torch.eye(n)),
        "You symmetrise the map first; apc corrects it as it is, and whoever wants symmetric maps adds the transpose before.": (
            both - rb * cb / tb
        ),
        "You symmetrise the map first (by the mean); apc corrects it as it is.": (both - rb * cb / tb) / 2,
        "You symmetrise the result; apc corrects the map as it is.": (expected + expected.mT) / 2,
        "You symmetrise the result (by the sum); apc corrects the map as it is.": expected + expected.mT,
    } | _apc_slips(f, expected)


def _apc_slips(f, expected):
    """What further mistakes give for a single map (double precision), from sentence to map."""
    (r, c, t), n = _sums(f), f.shape[-1]
    return {
        "You use the sums of the rows twice: for j, the sum of column j is needed.": f - r * r.mT / t,
        "You use the sums of the columns twice: for i, the sum of row i is needed.": f - c.mT * c / t,
        "You subtract the mean of each row only; rows and columns belong together, as a product.": f - r / n,
        "You subtract the mean of each column only; rows and columns belong together, as a product.": f - c / n,
        "You subtract the sum of each row only; rows and columns belong together, as a product.": f - r,
        "You subtract the sum of each column only; rows and columns belong together, as a product.": f - c,
        "You centre rows and columns (an additive background); asked for is the product of their sums.": f - r / n - c / n + t / n**2,
        "You divide by the background; asked for is to subtract it.": f * t / (r * c),
        "You add the background; it has to be subtracted: the sign is turned.": f + r * c / t,
        "The sign is turned: map minus background, not background minus map.": r * c / t - f,
        "This is the background itself; subtract it from the map.": r * c / t,
        "You set negative values to zero: they say 'less than expected' and stay.": expected.clamp(min=0),
        "You multiply the sums entry by entry; each pair (i, j) needs row i times column j, an outer product (keepdim=True).": (
            f - r.mT * c / t
        ),
        "You multiply the sums entry by entry, along the rows; each pair (i, j) needs row i times column j, an outer product.": (
            f - r * c.mT / t
        ),
        "Your background is transposed: the sums of rows and columns are exchanged.": f - (r * c / t).mT,
        "You divide by the standard deviation afterwards: leave the scale as it is.": expected / expected.std(),
        "You correct twice: after the first time all sums are zero, and the second divides by it.": expected - _product(expected),
    }


def _product(maps):
    rows, columns, total = _sums(maps)
    return rows * columns / total


@apc_exercise.step("same shape", points=0)
def apc_shape(apc):
    result = apc(_random_maps(5, 5))
    shape = tuple(getattr(result, "shape", ()))
    expect(shape == (5, 5), f"For one map [5, 5] the result has shape {list(shape)}; asked for is the same shape.")


@apc_exercise.step("one map", points=2)
def apc_one(apc):
    for seed in (0, 1):
        f = _random_maps(5, 5, seed=seed)
        expect_close(
            apc(f),
            _apc(f),
            lambda f=f: _apc_mistakes(f),
            f"The result differs from map - row sum x column sum / total. By hand: {_SMALL.tolist()} becomes"
            f" {[[round(x, 4) for x in row] for row in _apc(_SMALL).tolist()]}.",
            "one random map of 5 residues",
        )


@apc_exercise.step("many maps")
def apc_many(apc):
    drawn = [_random_maps(*shape) for shape in ((2, 3, 5, 5), (4, 5, 5), (2, 1, 3, 4, 4), (5, 5, 5, 5))]
    for f in (*drawn, _SMALL.repeat(2, 1, 1)):  # the last one, corrected twice, is 0 / 0 and not just any small number
        shape = tuple(f.shape)
        where = f"maps of shape {list(shape)}"
        try:
            result = apc(f)
        except Wrong as wrong:
            expect(
                "stopped with" not in str(wrong),
                f"One map works, {where} do not: take the sums over the last two axes (-1 and -2), and allow any leading axes. {wrong}",
            )
            raise
        found = tuple(getattr(result, "shape", ()))
        expect(found == shape, f"For {where} the result has shape {list(found)}; asked for is the same shape.")
        expect_close(
            result, _apc(f), lambda f=f: _batch_mistakes(f), f"One map comes out right, {where} differ: correct each map by itself.", where
        )


def _batch_mistakes(f):
    """What mistakes give for several maps, from sentence to maps."""
    f = f.double()
    r, c, t = _sums(f)
    mean = f.reshape(-1, *f.shape[-2:]).mean(0)
    slips = {
        "You divide by one total for all maps: each map has a total of its own.": f - r * c / f.sum(),
        "You divide by the total of a whole layer: each map, that is each head, has a total of its own.": (
            f - r * c / t.sum(-3, keepdim=True)
        ),
        "You subtract the background of the average map from all of them: each map has its own.": f - _product(mean),
    }
    if f.ndim > 3:
        first = f.sum(0, keepdim=True) * f.sum(1, keepdim=True) / f.sum((0, 1), keepdim=True)
        slips["Your sums run over the first two axes, layers and heads; take the last two, -1 and -2."] = f - first
    return slips


# --------------------------------------------------------------------------------------------------- 8.3 precision_at_l

precision_exercise = Exercise(
    "8.3",
    [contacts.precision_at_l],
    hints=[
        "List the pairs that compete, sort them by score, keep the best k, and look how many of these are contacts.",
        (
            "i, j = np.triu_indices(L, min_separation) are the pairs i < j in the right order; keep those with j - i <= max_separation, if"
            " there is one. np.argsort(-values, kind='stable') sorts downwards and leaves equal values in their order."
        ),
        "best = np.argsort(-scores[i, j], kind='stable')[:max(1, int(fraction * len(scores)))]; then contacts[i, j][best].mean()",
    ],
)


def _pairs(n, low=6, high=None):
    return [(i, j) for i in range(n) for j in range(i + low, n) if high is None or j - i <= high]


def _k(n, fraction):
    return max(1, int(fraction * n))


def _hits(scores, truth, pairs, k, key=None):
    """Contacts among the k best of a list of pairs, ties in the order of the list."""
    best = sorted(pairs, key=key or (lambda pair: -scores[pair]))[:k]
    return sum(bool(truth[pair]) for pair in best), len(best)


def _p(scores, truth, low=6, high=None, fraction=1.0):
    """The reference."""
    found, of = _hits(scores, truth, _pairs(len(scores), low, high), _k(len(scores), fraction))
    return found / of


def _case(n, seed, levels=None, symmetric=True):
    """Scores and contacts that have something to do with each other; ``levels`` makes ties."""
    generator = inputs.rng(seed)
    scores = generator.normal(size=(n, n))
    scores = (scores + scores.T) / np.sqrt(2) if symmetric else scores
    near = abs(np.subtract.outer(np.arange(n), np.arange(n))) < 4
    truth = (np.triu(scores, 1) + generator.normal(size=(n, n)) > 1.6) | near
    truth = np.triu(truth) | np.triu(truth).T
    if levels:
        scores = np.round(levels * scores) / levels
    return scores + 2.0 * near, truth


def _slip(sentence, rule):
    """A mistake of 8.3: the sentence, and ``rule(scores, truth, low, high, fraction) -> value``."""
    return sentence, rule


def _of(pairs, k=None, key=None, divide=None):
    """A rule from how it chooses pairs, how many, in what order, and what it divides by."""

    def rule(s, t, low, high, fraction):
        chosen = pairs(len(s), low, high)
        count = _k(len(s), fraction) if k is None else k(s, t, chosen, low, fraction)
        found, of = _hits(s, t, chosen, count, key and key(s, t))
        below = of if divide is None else divide(s, t, chosen, count, fraction)
        return found / below if below else 0.0

    return rule


def _both_ways(n, low, high):
    return [(i, j) for i in range(n) for j in range(n) if abs(i - j) >= low and (high is None or abs(i - j) <= high)]


def _after_choice(s, t, low, high, fraction):
    best = sorted(_pairs(len(s), 1), key=lambda pair: -s[pair])[: _k(len(s), fraction)]
    kept = [pair for pair in best if pair[1] - pair[0] >= low and (high is None or pair[1] - pair[0] <= high)]
    return np.mean([t[pair] for pair in kept]) if kept else 0.0


def _above_half(s, t, low, high, fraction):
    called = [t[pair] for pair in _pairs(len(s), low, high) if s[pair] > 0.5]
    return np.mean(called) if called else 0.0


def _accuracy(s, t, low, high, fraction):
    pairs = _pairs(len(s), low, high)
    best = set(sorted(pairs, key=lambda pair: -s[pair])[: _k(len(s), fraction)])
    return np.mean([(pair in best) == t[pair] for pair in pairs])


def _one_each(s, t, low, high, fraction):
    rows = [[pair for pair in _pairs(len(s), low, high) if pair[0] == i] for i in range(len(s))]
    return _hits(s, t, [max(row, key=lambda pair: s[pair]) for row in rows if row], _k(len(s), fraction))


def _with_hidden(s, t, low, high, fraction):
    """Pairs outside the separations get the lowest score and are chosen where the others do not suffice."""
    inside = sorted(_pairs(len(s), low, high), key=lambda pair: -s[pair])
    rest = [pair for pair in np.ndindex(s.shape) if pair not in set(inside)]
    return np.mean([t[pair] for pair in (inside + rest)[: _k(len(s), fraction)]])


_SLIPS = dict(
    [
        _slip(
            "Neighbours count in your function: it takes all pairs i < j, whatever min_separation says.",
            _of(lambda n, low, high: _pairs(n, 1, high)),
        ),
        _slip("The diagonal counts in your function: pairs begin at min_separation.", _of(lambda n, low, high: _pairs(n, 0, high))),
        _slip("Pairs at exactly min_separation are lost: >= and not >.", _of(lambda n, low, high: _pairs(n, low + 1, high))),
        _slip("You take every pair twice, as (i, j) and as (j, i): L entries of both triangles are L/2 pairs.", _of(_both_ways)),
        _slip(
            "You divide by the number of contacts: that is recall, the share of contacts found.",
            _of(_pairs, divide=lambda s, t, pairs, k, f: sum(t[p] for p in pairs)),
        ),
        _slip(
            "You take as many pairs as there are contacts, the number of contacts of the answer; asked for are as many as residues.",
            _of(_pairs, k=lambda s, t, pairs, low, f: max(1, int(f * sum(t[p] for p in pairs)))),
        ),
        _slip(
            "You take the fraction of all pairs; asked for is the fraction of L, the number of residues.",
            _of(_pairs, k=lambda s, t, pairs, low, f: max(1, int(f * len(pairs)))),
        ),
        _slip(
            "You take L - min_separation pairs; asked for is the whole length L.",
            _of(_pairs, k=lambda s, t, pairs, low, f: max(1, int(f * (len(s) - low)))),
        ),
        _slip("You take L/2 pairs for fraction=1; asked for are L.", _of(_pairs, k=lambda s, t, p, low, f: max(1, int(f * len(s) / 2)))),
        _slip("You take L/5 pairs for fraction=1; asked for are L.", _of(_pairs, k=lambda s, t, p, low, f: max(1, int(f * len(s) / 5)))),
        _slip("You take the pairs with the lowest scores: sort downwards.", _of(_pairs, key=lambda s, t: lambda pair: s[pair])),
        _slip(
            "You rank by the absolute value; a negative score means 'no contact', however large.",
            _of(_pairs, key=lambda s, t: lambda pair: -abs(s[pair])),
        ),
        _slip("You call pairs above a threshold of 0.5; asked for are the best ones, whatever their scores.", _above_half),
        _slip("This is the accuracy over all pairs, non-contacts included; asked for is the share among the chosen ones.", _accuracy),
        _slip(
            "This is the share of contacts among all pairs: the scores do not enter. Sort, and keep the best k.",
            lambda s, t, low, high, f: np.mean([t[p] for p in _pairs(len(s), low, high)]),
        ),
        _slip("This is in percent; asked for is a share between 0 and 1.", lambda s, t, low, high, f: 100 * _p(s, t, low, high, f)),
        _slip(
            "This is the number of contacts among the chosen pairs: divide by the number of pairs chosen.",
            _of(_pairs, divide=lambda s, t, pairs, k, f: 1),
        ),
        _slip(
            "You take the best partner of each residue; the best pairs of the whole map are asked for, several of one residue if so.",
            lambda *case: (lambda found: found[0] / found[1])(_one_each(*case)),
        ),
        _slip(
            "You choose the k best of all pairs and drop the close ones afterwards: apply min_separation before, so that k are left.",
            _after_choice,
        ),
        _slip("You read the lower triangle: pairs are i < j, rows before columns.", lambda s, t, low, high, f: _p(s.T, t.T, low, high, f)),
    ]
)
_SEPARATION_SLIPS = {
    "min_separation is not used: your function always begins at 6.": _of(lambda n, low, high: _pairs(n, 6, high)),
    "max_separation is not used.": _of(lambda n, low, high: _pairs(n, low)),
    "Pairs at exactly max_separation are lost: <= and not <.": _of(lambda n, low, high: _pairs(n, low, high and high - 1)),
    "max_separation is one too large in your function: <= max_separation.": _of(lambda n, low, high: _pairs(n, low, high and high + 1)),
}
_FRACTION_SLIPS = {
    "The fraction is not used: your function always takes L pairs.": _of(_pairs, k=lambda s, t, p, low, f: len(s)),
    "You divide L by the fraction; multiply.": _of(_pairs, k=lambda s, t, p, low, f: max(1, int(len(s) / f))),
    "You round fraction x L to the nearest number; asked for is floor, rounded down.": _of(
        _pairs, k=lambda s, t, p, low, f: max(1, round(f * len(s)))
    ),
    "You round fraction x L half up; asked for is floor, rounded down.": _of(
        _pairs, k=lambda s, t, p, low, f: max(1, int(f * len(s) + 0.5))
    ),
    "You round fraction x L up (ceil); asked for is floor, rounded down.": _of(
        _pairs, k=lambda s, t, p, low, f: max(1, int(np.ceil(f * len(s))))
    ),
    "You choose the right pairs, but divide by L whatever the fraction: divide by the number chosen.": _of(
        _pairs, divide=lambda s, t, pairs, k, f: len(s)
    ),
}
_SHORT_SLIPS = {
    "You divide by k where the chain has fewer than k pairs: divide by the number of pairs that there are.": _of(
        _pairs, divide=lambda s, t, pairs, k, f: k
    ),
    "A short chain has fewer pairs than k, and yours are filled up with pairs outside the separations.": _with_hidden,
    "For a short chain and a small fraction, fraction x L is below 1: at least one pair counts.": _of(
        _pairs, k=lambda s, t, p, low, f: int(f * len(s)), divide=lambda s, t, p, k, f: k
    ),
}
_TIE_SLIPS = {
    "Of equal scores you take the last pair first: ties are broken by the order (i, j). (A reversed argsort does that.)": _of(
        lambda n, low, high: _pairs(n, low, high)[::-1]
    ),
    "Of equal scores you take the smaller j first: ties are broken by i, then j.": _of(
        lambda n, low, high: sorted(_pairs(n, low, high), key=lambda pair: pair[::-1])
    ),
    "Of equal scores you take the closer pair first: ties are broken by i, then j.": _of(
        lambda n, low, high: sorted(_pairs(n, low, high), key=lambda pair: pair[1] - pair[0])
    ),
    "Of equal scores you take the contact first: that flatters every constant. Ties are broken by i, then j.": _of(
        _pairs, key=lambda s, t: lambda pair: (-s[pair], not t[pair])
    ),
    "Of equal scores you take the non-contact first: ties are broken by i, then j.": _of(
        _pairs, key=lambda s, t: lambda pair: (-s[pair], t[pair])
    ),
}


def _expect_precision(precision_at_l, cases, slips, otherwise):
    """Compare on several cases at once, so that two mistakes do not look the same.

    A case is (scores, contacts, min_separation, max_separation, fraction).
    """
    found, expected = [], [_p(*case) for case in cases]
    for case, value in zip(cases, expected):
        scores, truth, low, high, fraction = case
        options = {"min_separation": low, "max_separation": high, "fraction": fraction}
        options = {key: value for key, value in options.items() if value != {"min_separation": 6, "fraction": 1.0}.get(key)}
        result = precision_at_l(scores, truth, **options)
        expect(
            np.ndim(result) == 0 and isinstance(float(result), float),
            f"The result is a {type(result).__name__} of shape {list(np.shape(result))}; asked for is a number (a float).",
        )
        found.append(float(result))
    wrong = next((n for n, (a, b) in enumerate(zip(found, expected)) if not abs(a - b) < 1e-6), None)
    if wrong is None:
        return
    scores, _, low, high, fraction = cases[wrong]
    text = (
        f"L = {len(scores)}, min_separation={low}, max_separation={high}, fraction={fraction}: {expected[wrong]:.3f} and not"
        f" {found[wrong]:.3f}"
    )
    mistakes = functools.partial(lambda: {sentence: np.array([rule(*case) for case in cases]) for sentence, rule in slips.items()})
    expect_close(np.array(found), np.array(expected), mistakes, otherwise, text, tolerance=1e-6)


@precision_exercise.step("the L best pairs")
def precision_best(precision_at_l):
    cases = [(*_case(n, seed), 6, None, 1.0) for seed, n in enumerate((30, 24, 41, 33, 27, 36))]
    _expect_precision(precision_at_l, cases, _SLIPS, "This is not the share of contacts among the L best pairs at least 6 apart.")


@precision_exercise.step("separations")
def precision_separation(precision_at_l):
    ranges = ((6, 11), (12, 23), (24, None), (6, 11), (12, 23), (4, 9), (24, None), (2, 30))
    cases = [(*_case(40 + 3 * seed, seed), *span, 1.0) for seed, span in enumerate(ranges)]
    _expect_precision(
        precision_at_l,
        cases,
        _SEPARATION_SLIPS | _SLIPS,
        "Pairs of other separations get in: min_separation <= j - i <= max_separation, both ends included.",
    )


@precision_exercise.step("fractions, short chains")
def precision_fraction(precision_at_l):
    cases = [(*_case(n, n), 6, None, fraction) for fraction, n in ((0.5, 33), (0.2, 28), (0.2, 39), (0.5, 41), (0.5, 27), (0.2, 34))]
    _expect_precision(precision_at_l, cases, _FRACTION_SLIPS | _SLIPS, "k is wrong for another fraction than 1: k = floor(fraction x L).")
    few = [
        (*_case(n, seed), low, high, 1.0) for seed, (n, low, high) in enumerate(((8, 6, None), (9, 6, None), (30, 24, None), (12, 6, 6)))
    ]
    small = [(*_case(n, n), 3, None, 0.2) for n in (4, 5, 6, 7, 8, 9)]
    _expect_precision(precision_at_l, few, _SHORT_SLIPS, "A short chain has fewer than k pairs: then all of them count.")
    try:
        _expect_precision(
            precision_at_l, small, _SHORT_SLIPS, "For short chains and a small fraction, at least one pair counts: max(1, …)."
        )
    except Wrong as wrong:
        expect("stopped with" not in str(wrong), f"For a short chain and a small fraction, at least one pair counts: max(1, …). {wrong}")
        raise


@precision_exercise.step("ties, upper triangle")
def precision_ties(precision_at_l):
    cases = [(*_case(n, seed, levels=1), 6, None, 1.0) for seed, n in enumerate((20, 33, 26, 45, 30, 38, 50, 29))]
    cases += [(np.zeros((n, n)), _case(n, n)[1], 6, None, 1.0) for n in (25, 40)]
    _expect_precision(
        precision_at_l, cases, _TIE_SLIPS | _SLIPS, "Of equal scores, the pair with the smaller i, then the smaller j, comes first: ties."
    )
    turned = {
        "You average the two triangles; only i < j is read.": lambda s, t, *rest: _p((s + s.T) / 2, t, *rest),
        "You take the larger of both triangles; only i < j is read.": lambda s, t, *rest: _p(np.maximum(s, s.T), t, *rest),
    }
    cases = [(*_case(n, seed, symmetric=False), 6, None, 1.0) for seed, n in enumerate((20, 33, 26, 45))]
    _expect_precision(
        precision_at_l, cases, _SLIPS | turned, "With scores that are not symmetric, only the upper triangle, i < j, is read."
    )


# ------------------------------------------------------------------------------------------------- 8.4 fit_contact_head

head_exercise = Exercise(
    "8.4",
    [contacts.fit_contact_head],
    hints=[
        (
            "A table with one row per pair of residues and one column per head, for all chains one below the other; beside it, whether the"
            " pair is a contact. The rest is one call of scikit-learn. predict then makes the same table of a new chain."
        ),
        (
            "Write one helper that turns maps [layers, heads, L, L] into corrected maps [layers · heads, L, L]: apc(maps + maps.mT), then"
            " .flatten(0, 1). Use it in both places. Training takes np.triu_indices(L, min_separation), predict takes all pairs."
        ),
        (
            "x = np.concatenate([table(m)[:, i, j].T …]); y = np.concatenate([t[i, j] …]); regression.fit(x, y). In predict:"
            " regression.predict_proba(table(maps).flatten(1).T)[:, 1].reshape(L, L)."
        ),
    ],
)
_WEAK, _MIDDLE, _STRONG = 300.0, 0.5, 1e-4  # c: next to no penalty, one that leaves few heads, and one that leaves none


def planted(seed, length=40, layers=2, heads=3):
    """Attention maps in which one head of the first layer knows the contacts, faintly and in one direction only.

    Returns
    -------
    maps : Tensor, shape [layers, heads, length, length]
        Strong and weak columns, and a head that looks at neighbours, hide what head (0, 1) knows from the mean over heads.
    truth : bool array, shape [length, length]
    """
    generator = inputs.rng(seed)
    noise = generator.gamma(2.0, 1.0, (layers, heads, length, length))
    hubs = generator.gamma(1.0, 1.0, (layers, heads, 1, length)) * generator.gamma(3.0, 0.4, (layers, heads, length, 1))
    apart = np.subtract.outer(np.arange(length), np.arange(length))
    truth = np.triu(generator.random((length, length)) < 0.06, 1) & (abs(apart) > 2)
    truth |= np.triu((apart == -6) | (apart == -12)) & (generator.random((length, length)) < 0.4)  # without any attention
    seen = np.triu(truth) & (apart != -6) & (apart != -12)
    turned = generator.random((length, length)) < 0.5
    maps = 0.3 * noise + 1.2 * noise[:, ::-1] * hubs
    maps[0, 1] = (noise[0, 1] + 2.0 * hubs[0, 1] + 9.0 * ((seen & turned) | (seen & ~turned).T)) / 4
    maps[-1, -1] += 25.0 * (abs(apart) <= 2)
    maps[-1, 0] += 8.0 * (abs(apart) < 6)
    truth |= np.triu(abs(apart) <= 2)
    maps /= maps.sum(-1, keepdims=True) * (1.05 + 0.3 * generator.random((layers, heads, 1, 1)))
    return torch.tensor(maps, dtype=torch.float32), truth | truth.T


@functools.cache
def _training():
    return tuple(planted(seed, length) for seed, length in enumerate((40, 36, 44, 40, 38, 42, 40, 46)))


def _test():
    return planted(9, 42)


def _given(chains):
    """Fresh copies as two lists: nobody's changes are seen by the next."""
    return [maps.clone() for maps, _ in chains], [truth.copy() for _, truth in chains]


def _fit(fit_contact_head, chains=None, **options):
    maps, truth = _given(chains or _training())
    head = fit_contact_head(maps, truth, **options)
    expect(
        callable(getattr(head, "predict", None)),
        f"fit_contact_head returned a {type(head).__name__} without a method predict; asked for is an object, and head.predict(maps) gives"
        " [L, L].",
    )
    return head


def _predict(head, maps):
    """The head's probabilities as an array [L, L]."""
    given = maps.clone()
    try:
        found = head.predict(given)
    except NotImplementedError:
        raise
    except Exception as error:
        raise Wrong(
            f"head.predict(maps) stopped with {type(error).__name__}: {str(error).rstrip('.')}. It takes maps [layers, heads, L, L] of one"
            " chain, not a table."
        ) from error
    expect(torch.equal(given, maps), "head.predict changes its input: work on a copy of the maps.")
    found, length = torch.as_tensor(found).detach().double().numpy(), maps.shape[-1]
    expect(
        found.shape == (length, length),
        f"head.predict for a chain of {length} residues has shape {list(found.shape)}; asked for is [{length}, {length}].",
    )
    return found


@head_exercise.step("a head", points=0)
def head_shape(fit_contact_head):
    head, (maps, _) = _fit(fit_contact_head, c=_WEAK), _test()
    found = _predict(head, maps)
    off = ~np.eye(len(found), dtype=bool)
    expect(np.isfinite(found[off]).all(), "head.predict gives values that are no numbers (nan or infinite).")
    expect(
        found[off].min() >= 0 and found[off].max() <= 1 + 1e-6,
        f"head.predict gives values from {found[off].min():.2f} to {found[off].max():.2f}; probabilities lie between 0 and 1. (A logit"
        " becomes one by the logistic function; predict_proba does it. Two whole maps added up go beyond 1.)",
    )
    expect(
        not np.isin(found[off], (0, 1)).all(),
        "head.predict gives nothing but 0 and 1: scikit-learn's predict names classes, predict_proba gives the probabilities.",
    )
    expect(
        np.allclose(found, found.T, atol=1e-6),
        "head.predict is not symmetric: the pairs (i, j) and (j, i) are one contact. Symmetrise the maps, x + x.T, before apc, in training"
        " and in predict; and fill in both triangles. (If you did: reshape does not move axes. Rows of pairs come from"
        " features[:, i, j].T.)",
    )


def _regression(c, penalty=1.0, **options):
    regression = contacts.sparse_regression(c)
    if penalty != 1.0:
        fresh = {key: value for key, value in regression.get_params().items() if key in ("C", "solver", "random_state")}
        return type(regression)(**fresh, **options)
    return regression.set_params(**options)


def _read(maps, symmetrise=lambda m: m + m.mT, correct=contacts.apc):
    """Features [layers · heads, L, L]."""
    return correct(symmetrise(maps.double())).flatten(0, 1).numpy()


def _variant(read=_read, predict=None, low=6, c=_WEAK, use=slice(None), choose=np.triu_indices, other=None, **options):
    """What a fit with something done otherwise predicts for the test chain, [L, L]."""
    x, y = [], []
    for maps, truth in _training()[use]:
        i, j = choose(len(truth), low)
        x.append(read(maps)[:, i, j].T)
        y.append(truth[i, j] if other is None else other(truth, low))
    fitted = _regression(c, **options).fit(np.concatenate(x), np.concatenate(y))
    table = (predict or read)(_test()[0])
    return fitted.predict_proba(table.reshape(len(table), -1).T)[:, 1].reshape(table.shape[1:])


def _one_total(maps):
    rows, columns, _ = _sums(maps)
    return maps - rows * columns / maps.sum()


def _lower(truth, low):
    return truth[np.tril_indices(len(truth), -low)]


def _close_pairs(length, low):
    i, j = np.triu_indices(length, 1)
    return i[j - i < low], j[j - i < low]


def _head_mistakes(low=6):
    """What mistakes give for the test chain, from sentence to probabilities [L, L]."""
    first = {
        "Your features lack apc: symmetrise, correct each head by apc, then fit.": _variant(
            functools.partial(_read, correct=lambda m: m), low=low
        ),
        "You call apc before you symmetrise; the order is x + x.T first, apc after symmetrising.": _variant(
            functools.partial(_read, symmetrise=lambda m: contacts.apc(m) + contacts.apc(m).mT, correct=lambda m: m), low=low
        ),
        "Your apc divides by one total for all heads: correct each head by itself.": _variant(
            functools.partial(_read, correct=_one_total), low=low
        ),
        "min_separation is not used: all pairs i < j are trained on, and neighbours always touch.": _variant(low=1),
        "min_separation is not used: all entries are trained on, the diagonal too.": _variant(
            choose=lambda n, _: np.indices((n, n)).reshape(2, -1)
        ),
        "min_separation is not used: your function always begins at 6.": _variant(low=6 if low != 6 else 5),
        "Pairs at exactly min_separation are lost: >= and not >.": _variant(low=low + 1),
        "You train on the pairs closer than min_separation: the comparison is the wrong way round.": _variant(low=low, choose=_close_pairs),
        "Features and contacts are of different pairs, or in another order: take both at the same i, j.": _variant(low=low, other=_lower),
        "Only the last layer is used: all layers and heads are features.": _variant(lambda m: _read(m[-1:]), low=low),
        "Only the first layer is used: all layers and heads are features.": _variant(lambda m: _read(m[:1]), low=low),
        "You fit on the first chain only: one table for all chains, one below the other.": _variant(use=slice(1), low=low),
        "Only the last chain is left in your fit: put all chains into one table, then fit once.": _variant(use=slice(-1, None), low=low),
        "You fit one regression per chain and average: put all chains together into one table.": np.mean(
            [_variant(use=slice(k, k + 1), low=low) for k in range(len(_training()))], axis=0
        ),
    }
    return first | _later_mistakes(low)


def _later_mistakes(low):
    right = _variant(low=low)
    length, swapped = len(right), functools.partial(_read)
    return {
        "predict leaves out apc: treat the maps the same way as in training.": _variant(
            predict=functools.partial(_read, correct=lambda m: m), low=low
        ),
        "predict takes half of what training took: symmetrise the same way in both, x + x.T.": _variant(
            predict=lambda m: _read(m) / 2, low=low
        ),
        "predict takes twice what training took: symmetrise the same way in both, x + x.T.": _variant(
            predict=lambda m: _read(m) * 2, low=low
        ),
        "predict has layers and heads in another order than training: treat the maps the same way.": _variant(
            predict=lambda m: swapped(m.transpose(0, 1)), low=low
        ),
        "This is the probability of no contact, 1 − p: take column 1 of predict_proba.": 1 - right,
        "All probabilities are twice what they should be: predict is symmetric already.": 2 * right,
        "You divide the probabilities by the largest: leave the scale as it is.": right / (right + np.diag(np.full(length, -1.0))).max(),
        "You divide the probabilities by the largest, that of the diagonal among them: leave the scale as it is.": right / right.max(),
        "You symmetrise the answer; symmetrise the maps before, x + x.T, so that one fit sees both directions.": _symmetric_at_the_end(low),
        "c is the inverse strength of the penalty, as in scikit-learn: C=c, not 1/c.": _variant(c=1 / _WEAK, low=low),
        "Your fit ignores c: it always takes 0.15. Hand it on, C=c.": _variant(c=0.15, low=low),
        "Your fit ignores c: it takes scikit-learn's default of 1. Hand it on, C=c.": _variant(c=1.0, low=low),
        "Your penalty is L2, scikit-learn's default; an L1 penalty makes the weights sparse.": _variant(low=low, penalty=None),
        "You weight contacts and non-contacts as balanced: the probabilities come out too high.": _variant(
            low=low, class_weight="balanced"
        ),
        "Your regression has no intercept: a pair without any signal gets 0.5, far too high.": _variant(low=low, fit_intercept=False),
    }


def _symmetric_at_the_end(low):
    one_way = _variant(functools.partial(_read, symmetrise=lambda m: m), low=low)
    return (one_way + one_way.T) / 2


def _mean_mistakes(low=6):
    return {
        "You take the mean over all heads as the only feature": _variant(lambda m: _read(m).mean(0, keepdims=True), low=low),
        "You take the mean of the maps over all heads as the only feature": _variant(
            lambda m: _read(m.mean((0, 1), keepdim=True)), low=low
        ),
        "You take the mean over the heads of each layer": _variant(lambda m: _read(m.mean(1, keepdim=True)), low=low),
        "You take the mean over the heads of each layer, corrected": _variant(
            lambda m: _read(m).reshape(*m.shape[:2], *m.shape[2:]).mean(1), low=low
        ),
    }


def _expect_head(found, expected, low, otherwise, case):
    """Compare probabilities off the diagonal; the penalty's details (solver, factor 2 of c) are left free."""
    off = ~np.eye(len(expected), dtype=bool)

    def mistakes():
        truth = _test()[1]
        parts = [contacts.precision_at_l(table, truth) for table in (expected, found)]
        lost = f"; with every head as a feature, {parts[0]:.0%} of the L best pairs are contacts, in yours {parts[1]:.0%}."
        averaged = {sentence + lost: table[off] for sentence, table in _mean_mistakes(low).items()}
        return averaged | {sentence: table[off] for sentence, table in _head_mistakes(low).items()}

    expect_close(found[off], expected[off], mistakes, otherwise, case, tolerance=_TOLERANCE)


_TOLERANCE = 0.01


@head_exercise.step("all heads, one regression", points=2)
def head_values(fit_contact_head):
    maps, truth = _test()
    for low in (6, 12):
        chains = f"{len(_training())} synthetic chains, min_separation={low}, c={_WEAK:.0f}"
        head = _fit(fit_contact_head, min_separation=low, c=_WEAK)
        found, expected = _predict(head, maps), _variant(low=low)
        otherwise = (
            "The probabilities are not those of one L1 logistic regression on apc(x + x.T) of every head, over the pairs i < j of all"
            " chains at least min_separation apart."
        )
        far = np.abs(np.subtract.outer(*[np.arange(len(found))] * 2)) >= low
        if np.allclose(found[far], expected[far], atol=_TOLERANCE):
            otherwise = "Right for pairs at least min_separation apart; predict must give the probability of every pair, near ones too."
        shuffled = _predict(head, maps.flip(-1).flip(-2).roll(3, -1))
        if np.ptp(found) < 1e-9:
            otherwise = "Every pair gets the same probability, a constant: do the heads enter?"
        elif np.allclose(shuffled, found, atol=1e-6):
            otherwise = "predict does not look at the attention that it is given: other maps of the same length get the same answer."
        share, mean = _calibration(head, low)
        if mean > 1.5 * share:
            otherwise = (
                f"The probabilities come out too high: on the training pairs their mean is {mean:.2f}, and the share of contacts is"
                f" {share:.2f}. All pairs count, as they are: not balanced, and with an intercept."
            )
        _expect_head(found, expected, low, otherwise, chains)


def _calibration(head, low):
    """Share of contacts among the training pairs, and the mean probability that the head gives them."""
    rows = [(truth[p].mean(), _predict(head, maps)[p].mean()) for maps, truth in _training() for p in [np.triu_indices(len(truth), low)]]
    return np.mean(rows, axis=0)


@head_exercise.step("the planted contact")
def head_planted(fit_contact_head):
    maps, truth = _test()
    found = _predict(_fit(fit_contact_head, c=1.0), maps)
    wanted = contacts.precision_at_l(_predict(_fit(contacts.fit_contact_head, c=1.0), maps), truth)
    mean = contacts.precision_at_l(contacts.symmetric_apc(maps).mean((0, 1)).numpy(), truth)
    precision = contacts.precision_at_l(found, truth)
    expect(
        precision > (wanted + mean) / 2,
        f"Contacts were planted in a single head. Of the L best pairs {wanted:.0%} are found with all heads in the regression,"
        f" {mean:.0%} by the mean over heads, and {precision:.0%} by yours: is every head a feature of its own?",
        "one synthetic chain of 42 residues",
    )


@head_exercise.step("penalty")
def head_penalty(fit_contact_head):
    maps, _ = _test()
    off = ~np.eye(maps.shape[-1], dtype=bool)
    weak, strong = (_predict(_fit(fit_contact_head, c=c), maps)[off] for c in (_WEAK, _STRONG))
    expect(
        not np.allclose(weak, strong, atol=1e-4),
        f"Your fit ignores c: c={_WEAK:.0f} and c={_STRONG} give the same. C=c, the inverse strength of the L1 penalty.",
    )
    expect(
        np.ptp(strong) < 1e-9,
        f"With c={_STRONG} an L1 penalty leaves no head a weight, and all pairs get the same probability. Yours still differ: is the"
        " penalty L2, scikit-learn's default? L1 makes the weights sparse.",
    )
    expect_close(
        _predict(_fit(fit_contact_head, c=_MIDDLE), maps)[off],
        _variant(c=_MIDDLE)[off],
        lambda: {sentence: table[off] for sentence, table in _penalty_mistakes().items()},
        f"With c={_MIDDLE}, where the penalty tells, the probabilities are not those of scikit-learn's L1 logistic regression with C=c.",
        tolerance=0.02,
    )


def _penalty_mistakes():
    training = np.concatenate([_read(maps)[:, *np.triu_indices(len(truth), 6)].T for maps, truth in _training()])
    spread = training.std(0)[:, None, None]
    twice = "You train on (i, j) and on (j, i): each pair counts twice then, and the penalty half."
    return {
        twice: _variant(c=2 * _MIDDLE),
        "Your features are half as large, (x + x.T) / 2, so the penalty weighs more; asked for is x + x.T.": _variant(
            lambda m: _read(m) / 2, c=_MIDDLE
        ),
        "You scale the features: the penalty then weighs on all heads alike. Take apc(x + x.T) as it is.": _variant(
            lambda m: _read(m) / spread, c=_MIDDLE
        ),
    }


# ----------------------------------------------------------------------------------------------------- 8.5 head_profile

profile_exercise = Exercise(
    "8.5",
    [contacts.head_profile],
    hints=[
        "Three sums over parts of each map, each divided by the sum over the whole map.",
        (
            "With apart = |i - j| as a table [L, L], the parts are three boolean masks: apart == 1, (apart == 3) | (apart == 4), apart >="
            " 24. maps[..., mask] keeps layers and heads and puts the chosen entries into one last axis."
        ),
        "torch.stack([maps[..., mask].sum(-1) for mask in masks], dim=-1) / maps.sum((-2, -1))[..., None]",
    ],
)


def _apart(length):
    place = torch.arange(length)
    return place[None] - place[:, None]


def _shares(maps, near=lambda d: abs(d) == 1, helix=lambda d: (abs(d) == 3) | (abs(d) == 4), far=lambda d: abs(d) >= 24, total=None):
    """Sums over three parts of each map, divided by the total: [layers, heads, 3]."""
    maps, apart = maps.double(), _apart(maps.shape[-1])
    total = maps.sum((-1, -2)) if total is None else total
    return torch.stack([(maps * part(apart)).sum((-1, -2)) / total for part in (near, helix, far)], dim=-1)


def _ring(*distances):
    return lambda d: functools.reduce(torch.logical_or, [(d % len(d) == n) | (-d % len(d) == n) for n in distances])


@profile_exercise.step("shape", points=0)
def profile_shape(head_profile):
    maps = _random_maps(2, 4, 30, 30)
    result = head_profile(maps)
    shape = tuple(getattr(result, "shape", ()))
    why = {
        (4, 2, 3): "Layers and heads have changed places.",
        (3, 2, 4): "The three shares belong into the last axis.",
        (2, 3): "One row per layer: is it the average over its heads? Each head is asked for.",
        (4, 3): "One layer only: is it the last layer?",
        (8, 3): "Layers and heads are in one axis.",
        (2, 4, 30, 3): "One row per residue: the shares are those of the whole head.",
    }.get(shape, "")
    sentence = f"For maps of 2 layers, 4 heads and 30 residues the result has shape {list(shape)}; asked for is [2, 4, 3]. {why}"
    expect(shape == (2, 4, 3), sentence.strip())


def _parts_mistakes(m):
    """Wrong parts of the map, from sentence to profile."""
    right = _shares(m)
    slips = {
        "Only |i−j| = 3 is in your second share; 4 is missing.": _shares(m, helix=lambda d: abs(d) == 3),
        "Only |i−j| = 4 is in your second share; 3 is missing.": _shares(m, helix=lambda d: abs(d) == 4),
        "Your second share runs from 3 to 5; it ends with 4.": _shares(m, helix=lambda d: (abs(d) >= 3) & (abs(d) <= 5)),
        "Your second share runs from 2 to 4; it begins with 3.": _shares(m, helix=lambda d: (abs(d) >= 2) & (abs(d) <= 4)),
        "Your second share holds everything below 5 but the neighbours: it is 3 and 4, not 2 and not the diagonal.": _shares(
            m, helix=lambda d: (abs(d) <= 4) & (abs(d) != 1)
        ),
        "You take the mean of the shares at 3 and at 4; add them.": right * torch.tensor([1, 0.5, 1]),
        "Your third share begins at 25: >= 24 and not >.": _shares(m, far=lambda d: abs(d) > 24),
        "Your third share begins at 12; long range begins at 24.": _shares(m, far=lambda d: abs(d) >= 12),
        "Your third share begins at 6; long range begins at 24.": _shares(m, far=lambda d: abs(d) >= 6),
        "Your third share holds |i−j| = 24 alone; all from 24 on belong to it.": _shares(m, far=lambda d: abs(d) == 24),
        "A residue is its own neighbour in your function: leave out the diagonal, |i−j| = 1.": _shares(m, near=lambda d: abs(d) <= 1),
        "Your first share runs up to 2; neighbours have |i−j| = 1.": _shares(m, near=lambda d: (abs(d) == 1) | (abs(d) == 2)),
        "Your chain is a ring: np.roll and torch.roll make the last residue a neighbour of the first.": _shares(m, _ring(1), _ring(3, 4)),
    }
    one_way = {}
    for name, sign in (("j > i", 1), ("j < i", -1)):
        parts = (lambda d, s=sign: s * d == 1, lambda d, s=sign: (s * d == 3) | (s * d == 4), lambda d, s=sign: s * d >= 24)
        half = (m.double() * (sign * _apart(m.shape[-1]) > 0)).sum((-1, -2))
        one_way[f"You count one direction only, {name}: |i−j| has both."] = _shares(m, *parts)
        one_way[f"You take one triangle for everything, {name}; both directions count, and the diagonal counts in the total."] = _shares(
            m, *parts, total=half
        )
    return slips | one_way


def _total_mistakes(m):
    """Wrong divisors, and wrong things done afterwards, from sentence to profile."""
    n, right, m = m.shape[-1], _shares(m), m.double()
    sums = _shares(m, total=1)
    parts = (_apart(n).abs() == 1, (_apart(n).abs() == 3) | (_apart(n).abs() == 4), _apart(n).abs() >= 24)
    total = m.sum((-1, -2))
    rows = m / m.sum(-1, keepdim=True)
    return {
        "You divide by L²; a share is divided by the sum over the map.": sums / n**2,
        "You divide by the length L; the rows do not sum to 1 without <cls> and <eos>: divide by the sum over the map.": sums / n,
        "These are sums: divide by the sum over the whole map.": sums,
        "This is the mean attention of a pair at these separations; asked for is the share, the sum.": torch.stack(
            [m[..., part].mean(-1) for part in parts], -1
        ),
        "You take the share in each row and average the rows; asked for is the share of the whole map, where strong rows count more.": (
            _shares(rows)
        ),
        "Your three shares sum to 1: divide by all attention of the head, not by these three parts.": sums / sums.sum(-1, keepdim=True),
        "You leave the diagonal out of the total: it is attention too.": _shares(m, total=(m * (_apart(n) != 0)).sum((-1, -2))),
        "You divide by the attention of all heads together; each head has its own total.": sums / total.sum(),
        "You divide by the attention of all heads of the layer; each head has its own total.": sums / total.sum(1)[:, None, None],
        "The average over heads stands in each of them: each head has its own profile.": right.mean(1, keepdim=True).expand_as(right),
        "The three shares come in another order; asked for is neighbours, 3 and 4, 24 and more.": right.flip(-1),
        "The second and the third share have changed places; the order is neighbours, 3 and 4, 24 and more.": right[..., [0, 2, 1]],
        "This is percent; asked for are shares between 0 and 1 (divide by 100).": 100 * right,
        "Layers and heads are mixed up.": right.transpose(0, 1).reshape(right.shape),
    }


@profile_exercise.step("shares", points=2)
def profile_values(head_profile):
    maps = _random_maps(2, 4, 33, 33)
    expect_close(
        head_profile(maps),
        _shares(maps),
        lambda: _parts_mistakes(maps) | _total_mistakes(maps),
        "These are not the shares of each head's attention at |i−j| = 1, at 3 and 4, and at 24 or more.",
        "random maps, 33 residues",
        tolerance=1e-5,
    )


@profile_exercise.step("any length")
def profile_lengths(head_profile):
    for length in (60, 25, 24, 10):
        maps = _random_maps(3, 2, length, length, seed=length)
        result = torch.as_tensor(head_profile(maps)).detach().double()
        expect(not result.isnan().any(), f"A chain of {length} residues gets nan: a short chain has no pair 24 apart, and its share is 0.")
        expect_close(result, _shares(maps), {}, f"Right for 33 residues and wrong for {length}.", f"random maps, {length} residues")
