"""Checks of notebook 3: embed, mean_pool, cluster_split, nearest_label."""

import random
import warnings

import numpy as np
import torch
import torch.nn.functional as F
from hypothesis import strategies as st

from plmcourse import datasets, embeddings
from plmcourse.checks import inputs
from plmcourse.checks.engine import Exercise, expect, expect_close, smallest
from plmcourse.checks.tiny import course_plm, tiny_plm
from plmcourse.sequences import MASK, RESIDUES, TOKENS

_SEQUENCES = st.lists(st.text(RESIDUES, min_size=1, max_size=6).map(inputs.protein), min_size=1, max_size=4)

# ------------------------------------------------------------------------------------------------------------- 3.1 embed

embed_exercise = Exercise(
    "3.1",
    [embeddings.embed],
    hints=[
        "One forward pass gives you everything; the work is to cut the right rows out of it and to hand them back in the right order.",
        (
            "Three places: the padding must be hidden from the model (attention_mask), row 0 of each protein is <cls>, and a protein of L"
            " residues ends at row L. plm.forward passes the mask for you. An empty list has no tokens at all: answer it before you"
            " tokenize."
        ),
        "states = plm.forward(tokens, output_hidden_states=True).hidden_states[layer]; then states[i, 1:1 + len(sequences[i])] for each i.",
    ],
)


def _reference_states(plm, sequence, layer=-1):
    """[L + 2, dim] of one sequence on its own, so that no padding is involved."""
    return plm.forward(plm.tokenize([sequence]), output_hidden_states=True).hidden_states[layer][0].float()


def _before_norm(plm, sequence):
    caught = []
    hook = plm.model.esm.encoder.emb_layer_norm_after.register_forward_pre_hook(lambda module, inputs: caught.append(inputs[0]))
    plm.forward(plm.tokenize([sequence]))
    hook.remove()
    return caught[0][0].float()


@embed_exercise.step("a list of matrices", points=0)
def embed_shape(embed):
    sequences = [inputs.protein("MKT"), inputs.protein("ACDEFG")]
    result = embed(tiny_plm(), sequences)
    expect(isinstance(result, list), f"embed returned a {type(result).__name__}; asked for is a list with one matrix per sequence.")
    expect(len(result) == 2, f"embed returned {len(result)} matrices for 2 sequences.")
    rows = [tuple(getattr(matrix, "shape", ()))[:1] for matrix in result]
    expect(rows != [(6,), (3,)], "The first matrix belongs to the second sequence; asked for is the order of the sequences.", sequences)
    for sequence, matrix in zip(sequences, result):
        shape = tuple(getattr(matrix, "shape", ()))
        expect(
            shape != (len(sequence) + 2, 16),
            f"The matrix of '{sequence}' has {len(sequence) + 2} rows, the protein has {len(sequence)} "
            "residues: <cls> and <eos> are still in it.",
            f"'{sequence}'   →  <cls> {' '.join(sequence)} <eos>",
        )
        expect(
            len(sequence) == 6 or shape[:1] not in ((8,), (6,)),
            f"The matrix of '{sequence}' has {shape[0]} rows, the protein has 3 residues: it still holds the padding of its batch.",
            f"'{sequence}' beside '{sequences[1]}'   →  <cls> {' '.join(sequence)} <eos> <pad> <pad> <pad>",
        )
        expect(
            shape[:1] != (len(sequence) + 1,),
            f"The matrix of '{sequence}' has one row too many: <cls> or <eos> is still in it.",
            f"'{sequence}'   →  <cls> {' '.join(sequence)} <eos>",
        )
        expect(len(shape) == 2, f"The matrix of '{sequence}' has shape {shape}; asked for is [residues, dim].")
        expect(
            shape[1] == 16,
            f"The vectors of '{sequence}' have {shape[1]} numbers; this model's hidden states have 16"
            + (" (33 is the number of logits)." if shape[1] == 33 else "."),
        )
        expect(shape[0] == len(sequence), f"The matrix of '{sequence}' has {shape[0]} rows, the protein has {len(sequence)} residues.")


@embed_exercise.step("right rows")
def embed_rows(embed):
    plm, sequence = tiny_plm(), inputs.protein("MKTAY")
    states = _reference_states(plm, sequence)
    result = embed(plm, [sequence])[0]
    expect(
        not getattr(result, "requires_grad", False),
        "The vectors still carry the graph of the forward pass, which keeps it in memory: run the model under torch.no_grad().",
    )
    expect_close(
        result,
        states[1:-1],
        {
            "Row 0 of your matrix is <cls>: the first residue comes one token later.": states[:-2],
            "Row 0 of your matrix is the second residue: you cut one row too many at the front.": states[2:],
            "These are the input embeddings (hidden state 0); layer -1 is the last hidden state, after the final LayerNorm.": (
                _reference_states(plm, sequence, 0)[1:-1]
            ),
            "This is the hidden state before the last; layer -1 is the last one.": _reference_states(plm, sequence, -2)[1:-1],
            "This is what the last block puts out; the last hidden state comes after the final LayerNorm.": _before_norm(plm, sequence)[
                1:-1
            ],
        },
        "The numbers are not the model's last hidden states at the residues.",
        f"'{sequence}'",
    )


@embed_exercise.step("padded batch")
def embed_batch(embed):
    plm = tiny_plm()
    repeated = [inputs.protein(sequence) for sequence in ("MK", "MK", "M")]
    lengths = [len(getattr(matrix, "shape", ())) and len(matrix) for matrix in embed(plm, repeated)]
    expect(lengths == [2, 2, 1], "Repeated sequences must appear as often as they were given.", repeated)

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
    expect(
        found is None,
        "A protein's vectors change with its neighbours in the batch: the model sees the padding. Pass the attention mask.",
        found,
    )


@embed_exercise.step("layers")
def embed_layers(embed):
    plm, sequence = tiny_plm(), inputs.protein("MKTAY")
    norm = plm.model.esm.encoder.emb_layer_norm_after
    for layer in (1, 2, 0, 3, -1, -2):
        expect_close(
            embed(plm, [sequence], layer=layer)[0],
            _reference_states(plm, sequence, layer)[1:-1],
            {
                (
                    "layer=0 gives the last hidden state; 0 is the embedding before the first block. Beware of `layer or -1`: 0 counts as"
                    " False."
                    if layer == 0
                    else f"layer={layer} gives the last hidden state: the argument is not used."
                ): _reference_states(plm, sequence)[1:-1],
                f"layer={layer} gives hidden state {layer - 1}: hidden state {layer} is the output of block {layer}.": _reference_states(
                    plm, sequence, max(layer - 1, -4)
                )[1:-1],
                f"layer={layer} goes through the final LayerNorm; only the last hidden state does.": norm(
                    _reference_states(plm, sequence, layer)
                )[1:-1],
                f"layer={layer} gives hidden state {layer + 1}: hidden state 0 is the embedding before the first block.": _reference_states(
                    plm, sequence, min(layer + 1, 3)
                )[1:-1],
            },
            f"layer={layer} does not give hidden state {layer} (0 is the embedding, k the output of block k).",
            f"'{sequence}', layer={layer}",
        )


@embed_exercise.step("odd lists")
def embed_odd(embed):
    plm = tiny_plm()
    expect(embed(plm, []) == [], "An empty list of sequences should give an empty list.", "embed(plm, [])")
    rows = len(embed(plm, [inputs.protein("M" * 600)])[0])
    expect(rows == 600, f"A protein of 600 residues gets {rows} rows: nothing may be cut off.")
    with warnings.catch_warnings(record=True):  # the note on lower case is expected here and not the reader's business
        lower = embed(plm, [inputs.protein("mkt")])[0]
    expected = _reference_states(plm, inputs.protein("MKT"))[1:-1]
    case = f"'{inputs.protein('mkt')}'"
    expect_close(lower, expected, {}, "Lower-case letters should be read as upper case (plm.tokenize does that).", case)
    sequences = [inputs.protein("MKTAYIAKQR"), inputs.protein("GG")]
    result = embed(course_plm(), sequences)
    expect(
        tuple(result[0].shape) == (10, 320) and tuple(result[1].shape) == (2, 320),
        "On the course's own model the shapes should be (10, 320) and (2, 320).",
    )
    expect_close(
        result[1],
        _reference_states(course_plm(), sequences[1])[1:-1],
        {},
        "On the course's own model the vectors differ from its hidden states.",
        f"'{sequences[1]}'",
    )


# --------------------------------------------------------------------------------------------------------- 3.2 mean_pool

pool_exercise = Exercise(
    "3.2",
    [embeddings.mean_pool],
    hints=[
        "Write down, for a batch of 'MKT' and 'MK', which of the token columns are residues. The mean is over these alone.",
        (
            "A boolean mask from the token ids (4 to 28) has the shape [proteins, tokens]; to multiply it with hidden it needs one more"
            " axis. Divide by the number of residues, not by the number of tokens."
        ),
        (
            "mask = ((tokens >= 4) & (tokens <= 28)).unsqueeze(-1); then (hidden.float() * mask).sum(1) divided by something of shape"
            " [proteins, 1]."
        ),
    ],
)
_CLS, _PAD, _EOS = 0, 1, 2


def _pool_input(lengths, seed=0, dim=3, residues=range(4, 24)):
    """Random hidden states and tokens of proteins of these lengths, padded."""
    generator, draw = inputs.generator(seed), random.Random(seed + 1000 * inputs.SEED)
    width = max(lengths) + 2
    tokens = torch.tensor([[_CLS, *draw.choices(residues, k=n), _EOS] + [_PAD] * (width - n - 2) for n in lengths])
    return torch.randn(len(lengths), width, dim, generator=generator), tokens


def _strip(tokens):
    return "   ".join(" ".join(TOKENS[i] for i in row) for row in tokens.tolist())


def _pool_mistakes(hidden, tokens):
    """What known mistakes would return: dict from sentence to value."""
    real = ((tokens >= 4) & (tokens <= 28)).unsqueeze(-1)
    not_pad, h, n = (tokens != _PAD).unsqueeze(-1), hidden.float(), real.sum(1)
    length, width = n[0].item(), tokens.shape[1]
    place = torch.arange(width)[None, :, None]
    total, only = (h * real).sum(1), "Your sum is over residues only, but you divide by"

    def mean(counted):
        return (h * counted).sum(1) / counted.sum(1)

    return {
        f"Your average counts <cls> and <eos>: it divides by {length + 2} tokens, the first protein has {length} residues.": mean(not_pad),
        f"Your average counts padding, and <cls> and <eos> too: it divides by {width} tokens, the first protein has {length} residues.": (
            h.mean(1)
        ),
        "Your average counts padding.": mean(real | ~not_pad),
        "You cut off the first and the last column: in a batch, <eos> and padding of the shorter proteins stay in.": h[:, 1:-1].mean(1),
        "You use the first protein's residues for all proteins: each has a mask of its own.": h[:, real[0, :, 0]].mean(1),
        f"{only} the residues of the whole batch.": total / n.sum(),
        f"{only} the residues of the longest protein.": total / (width - 2),
        f"{only} the mean length.": total / n.float().mean(),
        f"{only} all columns of the batch, padding included.": total / width,
        f"{only} the number of tokens with <cls> and <eos>.": total / not_pad.sum(1),
        "Your average begins at <cls> and lacks the last residue: it is one token off.": mean(place < n[:, None]),
        "Your average lacks the last residue.": mean((place > 0) & (place < n[:, None])),
        "Your average counts <cls>.": mean(real | (tokens == _CLS).unsqueeze(-1)),
        "Your average counts <eos>.": mean(real | (tokens == _EOS).unsqueeze(-1)),
        "This is the sum over the residues; the mean divides it by their number.": total,
        "This is the largest value of each coordinate (max pooling), not the mean.": h.masked_fill(~real, -torch.inf).amax(1),
        "This is the vector of <cls> alone.": h[:, 0],
    }


def _expect_mean(mean_pool, hidden, tokens):
    real = ((tokens >= 4) & (tokens <= 28)).unsqueeze(-1)
    expect_close(
        mean_pool(hidden, tokens),
        (hidden.float() * real).sum(1) / real.sum(1),
        lambda: _pool_mistakes(hidden, tokens),
        "The result is not the mean over the residues.",
        f"{_strip(tokens)}   →  only letters belong in the mean",
    )


@pool_exercise.step("shape", points=0)
def pool_shape(mean_pool):
    result = mean_pool(*_pool_input([3, 2]))
    shape = tuple(getattr(result, "shape", ()))
    expect(
        shape == (2, 3),
        f"For hidden states of shape [2, 5, 3] the result has shape {list(shape)}; asked for is [2, 3], one vector per protein"
        + ("." if shape else f" (got {type(result).__name__})."),
    )


@pool_exercise.step("one protein")
def pool_one(mean_pool):
    for length in (3, 5):
        _expect_mean(mean_pool, *_pool_input([length]))
    _expect_counted(mean_pool, range(4, 24))


def _expect_counted(mean_pool, residues):
    """Each of these ids must count as a residue."""
    hidden = _pool_input([2])[0]
    for residue in residues:
        other = 5 if residue == 4 else 4
        for tokens, alone in (([_CLS, residue, other, _EOS], 2), ([_CLS, other, residue, _EOS], 1)):
            expect_close(
                mean_pool(hidden, torch.tensor([tokens])),
                hidden[:, 1:3].mean(1),
                {f"Your average leaves out {TOKENS[residue]} (id {residue}): residues are the ids 4 to 28.": hidden[:, alone]},
                "The result is not the mean over the residues.",
                _strip(torch.tensor([tokens])),
            )


@pool_exercise.step("padded batch")
def pool_batch(mean_pool):
    for lengths in ([3, 5], [5, 3], [1, 4, 2], [7, 1, 30]):
        _expect_mean(mean_pool, *_pool_input(lengths))


@pool_exercise.step("special tokens")
def pool_special(mean_pool):
    _expect_counted(mean_pool, range(24, 29))  # X, B, U, Z and O are residues too
    hidden, tokens = _pool_input([2])
    tokens[0, 2] = MASK
    expect_close(
        mean_pool(hidden, tokens), hidden[:, 1], {}, "Your average counts <mask> (id 32): residues are the ids 4 to 28.", _strip(tokens)
    )
    hidden, tokens = _pool_input([400], dim=2)
    _expect_mean_in_half(mean_pool, hidden * 100 + 300, tokens)


def _expect_mean_in_half(mean_pool, hidden, tokens):
    exact = hidden.half().float()[:, 1:-1].mean(1)
    result = mean_pool(hidden.half(), tokens)
    expect(
        torch.allclose(result.float(), exact, rtol=1e-3),
        "For half-precision hidden states the mean of 400 residues is off: add up in float32 "
        "(hidden.float()), half precision ends at 65,504.",
        "400 residues of about 300 in float16",
    )


# ----------------------------------------------------------------------------------------------------- 3.3 cluster_split

split_exercise = Exercise(
    "3.3",
    [datasets.cluster_split],
    hints=[
        "Do not draw proteins, draw clusters: a protein goes where its cluster goes.",
        (
            "np.unique(clusters) gives the clusters, np.random.default_rng(seed).permutation shuffles them; add whole clusters to the test"
            " set while they fit."
        ),
        (
            "Keep a running count of proteins: if taken + size <= test_fraction * len(clusters), the cluster goes into the test set. At the"
            " end np.flatnonzero(np.isin(clusters, chosen))."
        ),
    ],
)


def _clusters():
    """60 clusters of 1 to 8 proteins, shuffled."""
    generator = inputs.rng(1)
    return generator.permutation(np.repeat(np.arange(1000, 1060), generator.integers(1, 9, 60)))


def _indices(part):
    return [int(i) for i in part]


@split_exercise.step("two index arrays", points=0)
def split_shape(cluster_split):
    result = cluster_split(_clusters())
    expect(isinstance(result, (tuple, list)) and len(result) == 2, "cluster_split should return two arrays: (train, test).")
    for name, part in zip(("train", "test"), result):
        values = np.asarray(part)
        expect(
            values.ndim == 1 and values.dtype.kind in "iu",
            f"{name} should be an array of indices (whole numbers); it is {values.dtype} with {values.ndim} axes.",
        )
        outside = values[(values < 0) | (values >= len(_clusters()))]
        expect(
            not len(outside),
            f"{name} holds {outside[:1]}, but there are only {len(_clusters())} proteins: asked for are indices of proteins, "
            "not names of clusters.",
        )


@split_exercise.step("no cluster on both sides")
def split_disjoint(cluster_split):
    splits = {}

    def differs(clusters):
        train, test = splits[tuple(clusters)] = [_indices(part) for part in cluster_split(clusters, 0.3)]
        together = sorted(train + test)
        return together != list(range(len(clusters))) or {clusters[i] for i in train} & {clusters[i] for i in test}

    names = st.lists(st.sampled_from(inputs.protein("abcdefgh")), min_size=4, max_size=24).filter(lambda found: len(set(found)) > 3)
    found = smallest(names, differs)
    if found is not None:
        train, test = splits[tuple(found)]
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
        expect(
            abs(share - (1 - fraction)) > 0.05 or fraction == 0.5,
            f"The test set holds {share:.0%} of the proteins, and {fraction:.0%} was asked for: train and test are exchanged.",
        )
        expect(abs(share - fraction) < 0.05, f"The test set holds {share:.0%} of the proteins; {fraction:.0%} was asked for.")
    skewed = np.repeat(np.arange(41) + inputs.SEED % 100, [40] + [1] * 40)  # one large family among singletons
    for seed in range(6):
        test = _indices(cluster_split(skewed, 0.25, seed)[1])
        share, drawn = len(test) / len(skewed), len({skewed[i] for i in test})
        why = (
            "The fraction counts proteins, not clusters."
            if drawn in (10, 11)
            else (
                "A cluster that does not fit any more goes into the training set."
                if share > 0.25
                else "When one cluster does not fit, smaller ones still may: go on."
            )
        )
        expect(
            abs(share - 0.25) < 0.06,
            f"With one cluster of 40 proteins and 40 clusters of one, the test set holds {share:.0%} of the proteins for "
            f"test_fraction=0.25. {why}",
            f"seed {seed}",
        )


@split_exercise.step("seed")
def split_seed(cluster_split):
    clusters = _clusters()
    state = np.random.get_state()[1].copy(), random.getstate(), torch.get_rng_state()
    splits = [tuple(sorted(_indices(cluster_split(clusters, seed=seed)[1]))) for seed in (0, 0, 1, 2)]
    untouched = (
        np.array_equal(state[0], np.random.get_state()[1])
        and state[1] == random.getstate()
        and torch.equal(state[2], torch.get_rng_state())
    )
    expect(splits[0] == splits[1], "Two calls with the same seed give two splits: all randomness must come from the seed.")
    expect(len(set(splits)) > 1, "Seeds 0, 1 and 2 give the same split: the seed is not used.")
    expect(
        untouched,
        "The global random state has changed: use a generator of your own, np.random.default_rng(seed), not np.random.seed, "
        "random.seed or torch.manual_seed.",
    )


# ----------------------------------------------------------------------------------------------------- 3.4 nearest_label

label_exercise = Exercise(
    "3.4",
    [embeddings.nearest_label],
    hints=[
        "The cosine of the angle between two vectors is the dot product of the two after each has been scaled to length 1.",
        "Scale the rows (dim=-1) of both matrices; one matrix product then holds all similarities, queries in rows.",
        "similarity = F.normalize(query, dim=-1) @ F.normalize(database, dim=-1).T; then [labels[i] for i in similarity.argmax(1)].",
    ],
)


@label_exercise.step("a list of labels", points=0)
def label_shape(nearest_label):
    query, database, labels = torch.eye(4)[[0, 1, 3]], torch.eye(4), ["b", "a", "a", "c"]
    case = f"query = rows 0, 1 and 3 of the database, labels {labels}"
    result = nearest_label(query, database, labels)
    expect(isinstance(result, list), f"nearest_label returned a {type(result).__name__}; asked for is a list of labels.")
    expect(len(result) == 3, f"3 queries should get 3 labels, not {len(result)}.", case)
    for label in result:
        expect(
            isinstance(label, str) and label in labels,
            f"The result holds {label!r}, which is none of the labels; asked for is the label at the position of the highest cosine.",
            case,
        )


_AXES = inputs.rng().permutation(3) if inputs.SEED else [0, 1, 2]  # in any order angles and lengths are the same
# One entry for each way to go wrong, in alphabetical order, so that sorting the labels is found out later and by name.
_QUERY = torch.tensor([[2.0, 1.0, 0.0]])[:, _AXES]
_ENTRIES = {
    "best angle": [1.0, 0.4, 0.1],
    "closest point": [1.8, 1.2, 0.6],
    "longest": [9.0, 9.0, 5.0],
    "opposite": [-2.0, -1.0, 0.0],
    "same profile": [5.0, 4.0, 3.0],
    "second": [3.2, 2.3, 0.3],
    "shortest": [0.1, 0.0, 0.0],
}


@label_exercise.step("cosine")
def label_cosine(nearest_label):
    names = {inputs.protein(name): name for name in _ENTRIES}
    labels, database = list(names), torch.tensor(list(_ENTRIES.values()))[:, _AXES]
    answer = nearest_label(_QUERY, database, labels)[0]
    sentences = {
        "longest": "Your answer is the longest vector: before the dot product, scale each row of both matrices to length 1 (dim=-1).",
        "second": "Your answer is the second best: the query itself is not in the database, leave nothing out.",
        "closest point": "Your answer is nearest in Euclidean distance; asked for is the smallest angle.",
        "shortest": "Your answer is a very short vector: divide the dot product by the lengths, not by their squares.",
        "opposite": "Your answer points the opposite way, its cosine is -1: take the largest cosine, and no absolute value.",
        "same profile": "Your answer has the highest correlation; a cosine does not subtract the mean.",
    }
    case = f"query {_QUERY.tolist()[0]}, database {dict(zip(labels, database.tolist()))}"
    expect(answer == labels[0], sentences.get(names.get(answer), f"Your answer is {answer!r}."), case)
    same = nearest_label(_QUERY, torch.cat([-_QUERY, _QUERY, _QUERY + 1]), ["another", "itself", "other"])[0]
    expect(same == "itself", "An entry that equals the query is its nearest: nothing is left out here.")
    voted = nearest_label(torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 0.1], [0.8, 0.6], [0.8, -0.6]]), ["one", "two", "two"])[0]
    expect(
        voted == "one",
        "The label of the nearest entry is asked for: no vote among several, no mean of each label's entries.",
        "query [1, 0], database [[1, 0.1], [0.8, 0.6], [0.8, -0.6]], labels ['one', 'two', 'two']",
    )


@label_exercise.step("many queries")
def label_many(nearest_label):
    labels = ["b", "a", "a", "c"]
    found = nearest_label(torch.eye(4)[[0, 1, 3]], torch.eye(4), labels)
    expect(len(set(found)) > 1, "All queries get the same label: look for the largest similarity in each row (dim=1).")
    expect(
        found == ["b", "a", "c"],
        "The labels do not belong to their entries: index `labels` itself, neither sorted nor without its repeats.",
        f"query = rows 0, 1 and 3 of the database, labels {labels}",
    )
    generator = inputs.generator()
    for n, q in ((2, 3), (5, 1), (40, 25)):
        database = torch.randn(n, 6, generator=generator) * torch.rand(n, 1, generator=generator).exp() ** 3 + 1
        query = torch.randn(q, 6, generator=generator) + 1
        labels = [f"label {i}" for i in range(n)]
        best = F.cosine_similarity(query[:, None], database[None], dim=-1).argmax(1).tolist()
        answer = nearest_label(query, database, labels)
        wrong = [i for i in range(q) if answer[i] != labels[best[i]]]
        expect(
            not wrong,
            f"{len(wrong)} of {q} queries get another label than the one with the highest cosine. Are rows scaled along the last axis?",
            f"{q} queries, {n} entries: query {wrong[0] if wrong else ''}",
        )
    numbers = nearest_label(torch.eye(2), torch.eye(2), [7, 3])
    expect(numbers == [7, 3], f"Labels come back as they are: [7, 3], not {numbers}.", "labels [7, 3]")
    expect(
        nearest_label(torch.ones(1, 2), torch.ones(3, 2), ["x", "x", "y"]) == ["x"],
        "When several entries are equally similar, take the first.",
    )
