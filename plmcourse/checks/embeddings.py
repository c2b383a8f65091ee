"""Checks of notebook 3: embed, mean_pool, cluster_split, nearest_label."""
import random

import numpy as np
import torch
import torch.nn.functional as F
from hypothesis import strategies as st

from plmcourse import datasets, embeddings
from plmcourse.checks.engine import Exercise, expect, expect_close, smallest
from plmcourse.checks.tiny import course_plm, tiny_plm
from plmcourse.sequences import RESIDUES, TOKENS

_SEQUENCES = st.lists(st.text(RESIDUES, min_size=1, max_size=6), min_size=1, max_size=4)

# ------------------------------------------------------------------------------------------------------------- 3.1 embed

embed_exercise = Exercise("3.1", [embeddings.embed], hints=[
    "One forward pass gives you everything; the work is to cut the right rows out of it and to hand them back in the right order.",
    "Three places: the padding must be hidden from the model (attention_mask), row 0 of each protein is <cls>, and a protein of L residues "
    "ends at row L. plm.forward passes the mask for you.",
    "states = plm.forward(tokens, output_hidden_states=True).hidden_states[layer]; then states[i, 1:1 + len(sequences[i])] for each i.",
])


def _reference_states(plm, sequence, layer=-1):
    """[L + 2, dim] of one sequence on its own, so that no padding is involved."""
    return plm.forward(plm.tokenize([sequence]), output_hidden_states=True).hidden_states[layer][0].float()


@embed_exercise.step("a list of matrices", points=0)
def embed_shape(embed):
    sequences = ["MKT", "ACDEFG"]
    result = embed(tiny_plm(), sequences)
    expect(isinstance(result, list), f"embed returned a {type(result).__name__}; asked for is a list with one matrix per sequence.")
    expect(len(result) == 2, f"embed returned {len(result)} matrices for 2 sequences.")
    for sequence, matrix in zip(sequences, result):
        shape = tuple(getattr(matrix, "shape", ()))
        expect(shape != (len(sequence) + 2, 16), f"The matrix of '{sequence}' has {len(sequence) + 2} rows, the protein has {len(sequence)} "
               "residues: <cls> and <eos> are still in it.", f"'{sequence}'   →  <cls> {' '.join(sequence)} <eos>")
        expect(shape[:1] != (8,), f"The matrix of '{sequence}' has 8 rows, the protein has {len(sequence)} residues: it still holds the padding "
               "of its batch.", "'MKT' beside 'ACDEFG'")
        expect(len(shape) == 2, f"The matrix of '{sequence}' has shape {shape}; asked for is [residues, dim].")
        expect(shape[1] == 16, f"The vectors of '{sequence}' have {shape[1]} numbers; this model's hidden states have 16"
               + (" (33 is the number of logits)." if shape[1] == 33 else "."))
        expect(shape[0] == len(sequence), f"The matrix of '{sequence}' has {shape[0]} rows, the protein has {len(sequence)} residues.")


@embed_exercise.step("right rows")
def embed_rows(embed):
    plm, sequence = tiny_plm(), "MKTAY"
    states = _reference_states(plm, sequence)
    result = embed(plm, [sequence])[0]
    expect(not result.requires_grad, "The vectors still carry the graph of the forward pass, which keeps it in memory: run the model under torch.no_grad().")
    expect_close(result, states[1:-1], {
        "Row 0 of your matrix is <cls>: the first residue comes one token later.": states[:-2],
        "Row 0 of your matrix is the second residue: you cut one row too many at the front.": states[2:],
        "These are the input embeddings (hidden state 0); layer -1 is the last hidden state, after the final LayerNorm.":
            _reference_states(plm, sequence, 0)[1:-1],
        "This is the hidden state before the last; layer -1 is the last one.": _reference_states(plm, sequence, -2)[1:-1],
    }, "The numbers are not the model's last hidden states at the residues.", f"'{sequence}'")


@embed_exercise.step("padded batch")
def embed_batch(embed):
    plm = tiny_plm()

    def differs(sequences):
        alone = [embed(plm, [sequence])[0] for sequence in sequences]
        return any(a.shape != b.shape or not torch.allclose(a, b, atol=1e-4) for a, b in zip(alone, embed(plm, sequences)))

    found = smallest(_SEQUENCES, differs)
    if found is not None:
        expected = [_reference_states(plm, sequence)[1:-1] for sequence in found]
        by_length = [expected[i] for i in sorted(range(len(found)), key=lambda i: len(found[i]))]
        for order in (by_length, by_length[::-1]):
            same = all(a.shape == b.shape and torch.allclose(a, b, atol=1e-4) for a, b in zip(order, embed(plm, found)))
            expect(not same, "The matrices come back sorted by length; asked for is the order of the sequences.", found)
    expect(found is None, "A protein's vectors change with its neighbours in the batch: the model sees the padding. Pass the attention mask.", found)


@embed_exercise.step("layers")
def embed_layers(embed):
    plm, sequence = tiny_plm(), "MKTAY"
    for layer in (0, 1, 2, 3, -1, -2):
        expect_close(embed(plm, [sequence], layer=layer)[0], _reference_states(plm, sequence, layer)[1:-1], {
            f"layer={layer} gives the last hidden state: the argument is not used.": _reference_states(plm, sequence)[1:-1],
            f"layer={layer} gives hidden state {layer + 1}: hidden state 0 is the embedding before the first block.":
                _reference_states(plm, sequence, min(layer + 1, 3))[1:-1],
        }, f"layer={layer} does not give hidden state {layer} (0 is the embedding, k the output of block k).", f"'{sequence}', layer={layer}")


@embed_exercise.step("odd lists")
def embed_odd(embed):
    plm = tiny_plm()
    expect(embed(plm, []) == [], "An empty list of sequences should give an empty list.", "embed(plm, [])")
    lengths = [len(matrix) for matrix in embed(plm, ["MK", "MK", "M"])]
    expect(lengths == [2, 2, 1], "Repeated sequences must appear as often as they were given.", "['MK', 'MK', 'M']")
    result = embed(course_plm(), ["MKTAYIAKQR", "GG"])
    expect(tuple(result[0].shape) == (10, 320) and tuple(result[1].shape) == (2, 320), "On the course's own model the shapes should be (10, 320) and (2, 320).")
    expect_close(result[1], _reference_states(course_plm(), "GG")[1:-1], {}, "On the course's own model the vectors differ from its hidden states.", "'GG'")


# --------------------------------------------------------------------------------------------------------- 3.2 mean_pool

pool_exercise = Exercise("3.2", [embeddings.mean_pool], hints=[
    "Write down, for a batch of 'MKT' and 'MK', which of the token columns are residues. The mean is over these alone.",
    "A boolean mask from the token ids (4 to 28) has the shape [proteins, tokens]; to multiply it with hidden it needs one more axis. Divide by "
    "the number of residues, not by the number of tokens.",
    "mask = ((tokens >= 4) & (tokens <= 28)).unsqueeze(-1); then (hidden.float() * mask).sum(1) divided by something of shape [proteins, 1].",
])
_CLS, _PAD, _EOS = 0, 1, 2


def _pool_input(lengths, seed=0, dim=3, residues=range(4, 24)):
    """Random hidden states and tokens of proteins of these lengths, padded."""
    generator, draw = torch.Generator().manual_seed(seed), random.Random(seed)
    width = max(lengths) + 2
    tokens = torch.tensor([[_CLS, *draw.choices(residues, k=n), _EOS] + [_PAD] * (width - n - 2) for n in lengths])
    return torch.randn(len(lengths), width, dim, generator=generator), tokens


def _strip(tokens):
    return "   ".join(" ".join(TOKENS[i] for i in row) for row in tokens.tolist())


def _expect_mean(mean_pool, hidden, tokens):
    real = ((tokens >= 4) & (tokens <= 28)).unsqueeze(-1)
    not_pad, h, n = (tokens != _PAD).unsqueeze(-1), hidden.float(), real.sum(1)
    length = n[0].item()
    expect_close(mean_pool(hidden, tokens), (h * real).sum(1) / n, {
        f"Your average counts <cls> and <eos>: it divides by {length + 2} tokens, the first protein has {length} residues.":
            (h * not_pad).sum(1) / not_pad.sum(1),
        f"Your average counts padding: it divides by {tokens.shape[1]} tokens, the first protein has {length} residues.": h.mean(1),
        "Your sum is over residues only, but you divide by all columns of the batch, padding included.": (h * real).mean(1),
        "Your sum is over residues only, but you divide by the number of tokens with <cls> and <eos>.": (h * real).sum(1) / not_pad.sum(1),
        "Your average counts <cls>.": (h * (real | (tokens == _CLS).unsqueeze(-1))).sum(1) / (n + 1),
        "Your average counts <eos>.": (h * (real | (tokens == _EOS).unsqueeze(-1))).sum(1) / (n + 1),
        "This is the sum over the residues; the mean divides it by their number.": (h * real).sum(1),
        "This is the largest value of each coordinate (max pooling), not the mean.": h.masked_fill(~real, -torch.inf).amax(1),
        "This is the vector of <cls> alone.": h[:, 0],
    }, "The result is not the mean over the residues.", f"{_strip(tokens)}   →  only letters belong in the mean")


@pool_exercise.step("shape", points=0)
def pool_shape(mean_pool):
    result = mean_pool(*_pool_input([3, 2]))
    shape = tuple(getattr(result, "shape", ()))
    expect(shape == (2, 3), f"For hidden states of shape [2, 5, 3] the result has shape {list(shape)}; asked for is [2, 3], one vector per protein"
           + ("." if shape else f" (got {type(result).__name__})."))


@pool_exercise.step("one protein")
def pool_one(mean_pool):
    for length in (2, 5):
        _expect_mean(mean_pool, *_pool_input([length]))


@pool_exercise.step("padded batch")
def pool_batch(mean_pool):
    for lengths in ([2, 3], [1, 4, 2], [7, 1, 30]):
        _expect_mean(mean_pool, *_pool_input(lengths))


@pool_exercise.step("special tokens")
def pool_special(mean_pool):
    for residue in (24, 26, 28):  # X, U and O are residues too
        hidden, tokens = _pool_input([3, 2])
        tokens[0, 2] = residue
        _expect_mean(mean_pool, hidden, tokens)
    hidden, tokens = _pool_input([400], dim=2)
    _expect_mean_in_half(mean_pool, hidden * 100 + 300, tokens)


def _expect_mean_in_half(mean_pool, hidden, tokens):
    exact = hidden.half().float()[:, 1:-1].mean(1)
    result = mean_pool(hidden.half(), tokens)
    expect(torch.allclose(result.float(), exact, rtol=1e-3), "For half-precision hidden states the mean of 400 residues is off: add up in float32 "
           "(hidden.float()), half precision ends at 65,504.", "400 residues of about 300 in float16")


# ----------------------------------------------------------------------------------------------------- 3.3 cluster_split

split_exercise = Exercise("3.3", [datasets.cluster_split], hints=[
    "Do not draw proteins, draw clusters: a protein goes where its cluster goes.",
    "np.unique(clusters) gives the clusters, np.random.default_rng(seed).permutation shuffles them; add whole clusters to the test set while they fit.",
    "Keep a running count of proteins: if taken + size <= test_fraction * len(clusters), the cluster goes into the test set. At the end "
    "np.flatnonzero(np.isin(clusters, chosen)).",
])


def _clusters():
    """60 clusters of 1 to 8 proteins, shuffled."""
    generator = np.random.default_rng(1)
    return generator.permutation(np.repeat(np.arange(100, 160), generator.integers(1, 9, 60)))


def _indices(part):
    return [int(i) for i in part]


@split_exercise.step("two index arrays", points=0)
def split_shape(cluster_split):
    result = cluster_split(_clusters())
    expect(isinstance(result, tuple) and len(result) == 2, "cluster_split should return two arrays: (train, test).")
    for name, part in zip(("train", "test"), result):
        values = np.asarray(part)
        expect(values.ndim == 1 and values.dtype.kind in "iu", f"{name} should be an array of indices (whole numbers); it is {values.dtype} with "
               f"{values.ndim} axes.")


@split_exercise.step("no cluster on both sides")
def split_disjoint(cluster_split):
    def differs(clusters):
        train, test = cluster_split(clusters, 0.3)
        together = sorted(_indices(train) + _indices(test))
        return together != list(range(len(clusters))) or {clusters[i] for i in train} & {clusters[i] for i in test}

    names = st.lists(st.sampled_from("abcdefgh"), min_size=4, max_size=24).filter(lambda found: len(set(found)) > 3)
    found = smallest(names, differs)
    if found is not None:
        train, test = map(_indices, cluster_split(found, 0.3))
        missing = set(range(len(found))) - set(train) - set(test)
        case = f"clusters {found} → train {train}, test {test}"
        expect(not missing, f"Proteins {sorted(missing)} are in neither set.", case)
        expect(not set(train) & set(test), f"Proteins {sorted(set(train) & set(test))} are in both sets.", case)
        expect(len(train) + len(test) == len(found), "A protein is listed twice.", case)
        shared = sorted({found[i] for i in train} & {found[i] for i in test})
        expect(False, f"Cluster {shared[0]!r} has members on both sides: the test set is not new to the model.", case)


@split_exercise.step("fraction")
def split_fraction(cluster_split):
    clusters = _clusters()
    for fraction in (0.2, 0.5):
        train, test = cluster_split(clusters, fraction)
        share = len(test) / len(clusters)
        expect(abs(share - (1 - fraction)) > 0.05 or fraction == 0.5, f"The test set holds {share:.0%} of the proteins, and {fraction:.0%} was asked for: "
               "train and test are exchanged.")
        expect(abs(share - fraction) < 0.05, f"The test set holds {share:.0%} of the proteins; {fraction:.0%} was asked for.")
    skewed = np.repeat(np.arange(41), [40] + [1] * 40)  # one large family among singletons
    for seed in range(6):
        share = len(cluster_split(skewed, 0.25, seed)[1]) / len(skewed)
        expect(abs(share - 0.25) < 0.06, f"With one cluster of 40 proteins and 40 of one, the test set holds {share:.0%} of the proteins for "
               "test_fraction=0.25. The fraction counts proteins, not clusters.", f"seed {seed}")


@split_exercise.step("seed")
def split_seed(cluster_split):
    clusters = _clusters()
    state = np.random.get_state()[1].copy(), random.getstate(), torch.get_rng_state()
    splits = [tuple(sorted(_indices(cluster_split(clusters, seed=seed)[1]))) for seed in (0, 0, 1, 2)]
    untouched = (np.array_equal(state[0], np.random.get_state()[1]) and state[1] == random.getstate() and torch.equal(state[2], torch.get_rng_state()))
    expect(splits[0] == splits[1], "Two calls with the same seed give two splits: all randomness must come from the seed.")
    expect(len(set(splits)) > 1, "Seeds 0, 1 and 2 give the same split: the seed is not used.")
    expect(untouched, "The global random state has changed: use a generator of your own, np.random.default_rng(seed), not np.random.seed.")


# ----------------------------------------------------------------------------------------------------- 3.4 nearest_label

label_exercise = Exercise("3.4", [embeddings.nearest_label], hints=[
    "The cosine of the angle between two vectors is the dot product of the two after each has been scaled to length 1.",
    "Scale the rows (dim=-1) of both matrices; one matrix product then holds all similarities, queries in rows.",
    "similarity = F.normalize(query, dim=-1) @ F.normalize(database, dim=-1).T; then [labels[i] for i in similarity.argmax(1)].",
])


@label_exercise.step("a list of labels", points=0)
def label_shape(nearest_label):
    query, database, labels = torch.eye(3)[:2], torch.eye(3), ["a", "b", "c"]
    result = nearest_label(query, database, labels)
    expect(isinstance(result, list), f"nearest_label returned a {type(result).__name__}; asked for is a list of labels.")
    expect(len(result) == 2, f"2 queries should get 2 labels, not {len(result)}.")
    expect(all(not isinstance(label, (int, torch.Tensor)) for label in result), f"The result holds positions such as {result[0]!r}; asked for is the label at that "
           "position.", "labels ['a', 'b', 'c']")


@label_exercise.step("cosine")
def label_cosine(nearest_label):
    query = torch.tensor([[1.0, 0.0]])
    database, labels = torch.tensor([[0.2, 0.0], [1.0, 0.5], [5.0, 5.0], [-1.0, 0.0]]), ["same direction", "closest point", "longest", "opposite"]
    answer = nearest_label(query, database, labels)[0]
    case = f"query [1, 0], database {database.tolist()}"
    expect(answer != "longest", "Your answer is the longest vector: a dot product is not a cosine until both vectors have length 1.", case)
    expect(answer != "closest point", "Your answer is nearest in Euclidean distance; asked for is the smallest angle.", case)
    expect(answer != "opposite", "Your answer is the least similar entry: take the largest cosine.", case)
    expect(answer == "same direction", f"Your answer is {answer!r}.", case)


@label_exercise.step("many queries")
def label_many(nearest_label):
    generator = torch.Generator().manual_seed(0)
    for n, q in ((2, 3), (5, 1), (40, 25)):
        database = torch.randn(n, 6, generator=generator) * torch.rand(n, 1, generator=generator).exp() ** 3 + 1
        query = torch.randn(q, 6, generator=generator) + 1
        labels = [f"label {i}" for i in range(n)]
        best = F.cosine_similarity(query[:, None], database[None], dim=-1).argmax(1).tolist()
        answer = nearest_label(query, database, labels)
        wrong = [i for i in range(q) if answer[i] != labels[best[i]]]
        expect(not wrong, f"{len(wrong)} of {q} queries get another label than the one with the highest cosine. Are rows scaled along the last axis?",
               f"{q} queries, {n} entries: query {wrong[0] if wrong else ''}")
    expect(nearest_label(torch.ones(1, 2), torch.ones(3, 2), ["x", "x", "y"]) == ["x"], "When several entries are equally similar, take the first.")
