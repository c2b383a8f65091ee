"""Checks of notebook 4: parse_mutation and mutation_score, masked_marginals, spearman_ci, pseudo_log_likelihood."""

import itertools
import warnings

import numpy as np
import torch
from hypothesis import strategies as st
from scipy.stats import kendalltau, spearmanr

from plmcourse import metrics, scoring, sequences
from plmcourse.checks import inputs
from plmcourse.checks.engine import Exercise, expect, expect_close, expect_value_error, smallest
from plmcourse.checks.tiny import course_plm, tiny_plm
from plmcourse.sequences import MASK, RESIDUES

_SEQUENCE = inputs.protein("MKTAYIAKQR")
_LONG = inputs.protein("MKTAYIAKQRWGDNLVHPSFEC" * 3 + "KKAA")  # 70 residues: more than one batch for those who work in batches


def _logits(plm, sequence, masked):
    """Logits [L + 2, 33] after masking these tokens, computed step by step and independently of the package's batching."""
    tokens = plm.tokenize([sequence])
    tokens[0, list(masked)] = MASK
    return plm.forward(tokens).logits[0].float()


def _log_probs(plm, sequence, masked):
    return _logits(plm, sequence, masked).log_softmax(-1)


def _wild(sequence):
    return torch.tensor([4 + RESIDUES.index(letter) for letter in sequence])


# --------------------------------------------------------------------------------- 4.1 parse_mutation and mutation_score

mutation_exercise = Exercise(
    "4.1",
    [sequences.parse_mutation, scoring.mutation_score],
    hints=[
        "Two numberings meet here: the literature counts from `first`, the sequence from 0, and the tokens have <cls> in front.",
        (
            "Parsing: take the first letter, the last letter and what lies between, and test each of the three. (With regular expressions:"
            " re.fullmatch sees the whole text, re.match only its beginning.)"
        ),
        (
            "index = position - first; its token is index + 1. Check the range before you index: Python takes -1 for the last residue"
            " without complaint."
        ),
        "tokens[0, index + 1] = 32; log_probs = plm.forward(tokens).logits[0, index + 1].log_softmax(-1); then mutant minus wild type.",
    ],
)


@mutation_exercise.step("parsing")
def parse(parse_mutation, mutation_score):
    text = inputs.protein("M69L")
    wanted, result = (text[0], 69, text[-1]), parse_mutation(text)
    expect(isinstance(result, (tuple, list)) and len(result) == 3, f"parse_mutation({text!r}) gives {result!r}; asked for is {wanted}.")
    expect(
        tuple(result) == wanted,
        f"parse_mutation({text!r}) gives {result!r}; asked for is {wanted}"
        + (
            ", without a shift: it stays in the literature's numbering."
            if result[1] in (68, 70)
            else ", the position as a number: int(...)." if isinstance(result[1], str) else ", wild type first and mutant last."
        ),
    )
    for text in map(inputs.protein, ("A1C", "W1021Y")):
        wanted = (text[0], int(text[1:-1]), text[-1])
        expect(tuple(parse_mutation(text)) == wanted, "Positions have one digit or more.", inputs.protein("A1C, W1021Y"))
    for wild, mutant in zip(RESIDUES, RESIDUES[1:] + RESIDUES[0]):
        text = f"{wild}7{mutant}"
        expect(tuple(parse_mutation(text)) == (wild, 7, mutant), "Each of the 20 standard amino acids has a letter.", text)


@mutation_exercise.step("malformed mutations")
def parse_bad(parse_mutation, mutation_score):
    for text, why in (
        ("M69", "has no mutant"),
        ("69L", "has no wild type"),
        ("", "is empty"),
        ("ML", "has no position"),
        ("J69L", "begins with J, which is no standard amino acid"),
        ("M69B", "ends with B, which is no standard amino acid"),
        ("M69*", "is a stop, not a substitution"),
        ("m69l", "is written in lower case"),
        ("M0L", "has position 0"),
        ("M069L", "has a leading zero"),
        ("M-3L", "has a negative position"),
        ("M6.9L", "has a position that is no whole number"),
        ("M69LL", "has a letter too many"),
        ("M69L:A70C", "is two mutations"),
        ("M69L ", "has a blank at the end"),
        ("M69L\n", "ends with a line break, which $ in a pattern lets pass and re.fullmatch does not"),
        ("M+3L", "has a sign, which int() takes"),
        ("M1_0L", "has an underscore, which int() takes"),
    ):
        text = inputs.protein(text)
        expect_value_error(parse_mutation, text, sentence=f"{text!r} {why}.")


def _expect_score(mutation_score, plm, sequence, mutation, first):
    index, mutant = sequences.locate(sequence, mutation, first)
    at = _log_probs(plm, sequence, [index + 1])[index + 1]
    expected = at[4 + RESIDUES.index(mutant)] - at[4 + RESIDUES.index(sequence[index])]
    result = mutation_score(plm, sequence, mutation, first=first)
    expect(isinstance(result, float), f"The score is a {type(result).__name__}; asked for is a Python float (.item()).")
    expect_close(
        result,
        expected,
        lambda: _score_slips(plm, sequence, index, mutant),
        "The score is not log p(mutant) - log p(wild type) at the masked position.",
        f"'{sequence}', {mutation}, first={first}",
    )


def _score_slips(plm, sequence, index, mutant):
    """What mistakes give, from sentence to value."""
    wild, new = 4 + RESIDUES.index(sequence[index]), 4 + RESIDUES.index(mutant)

    def odds(place, masked):
        found = _log_probs(plm, sequence, masked)[place]
        return found[new] - found[wild]

    at = _log_probs(plm, sequence, [index + 1])[index + 1]
    slips = {
        "The sign is turned: a mutant less likely than the wild type should score below zero.": -odds(index + 1, [index + 1]),
        "The residue stays visible in your input: mask it before you run the model.": odds(index + 1, []),
        "You mask and read the token before the residue: <cls> comes first, residue i is token i + 1.": odds(index, [index]),
        "You mask the right token, but read the one before it: <cls> comes first.": odds(index, [index + 1]),
        "You mask the token before, and read the right one: <cls> comes first.": odds(index + 1, [index]),
        "This is log p(mutant) alone; subtract log p(wild type).": at[new],
        "This is a difference of probabilities; asked for is the difference of their logarithms.": at[new].exp() - at[wild].exp(),
        "This is the ratio of the probabilities; asked for is its logarithm.": (at[new] - at[wild]).exp(),
        "This logarithm has base 2; asked for is the natural one.": (at[new] - at[wild]) / np.log(2),
        "This logarithm has base 10; asked for is the natural one.": (at[new] - at[wild]) / np.log(10),
        "This is log p(mutant) divided by log p(wild type); asked for is the difference.": at[new] / at[wild],
        "The ids of the residues begin at 4: L is 4, A is 5.": at[new - 4] - at[wild - 4],
        "The ids are not in alphabetical order: their order is LAGVSERTIDPKQNFYMHWC.": (
            at[4 + sorted(RESIDUES).index(mutant)] - at[4 + sorted(RESIDUES).index(sequence[index])]
        ),
    }
    copies = [i + 1 for i, letter in enumerate(sequence) if letter == sequence[index]]
    columns = _logits(plm, sequence, [index + 1]).log_softmax(0)[index + 1]
    put_in = _log_probs(plm, sequence[:index] + mutant + sequence[index + 1 :], [])[index + 1]
    return slips | {
        f"You mask every {sequence[index]} of the sequence; only the one at the position is asked for.": odds(index + 1, copies),
        f"You mask and read the first {sequence[index]} of the sequence, not the one at the position.": odds(copies[0], copies[:1]),
        "Your softmax runs over the positions; it belongs over the tokens, the last axis.": columns[new] - columns[wild],
        "You write the mutant into the sequence; asked for is <mask> at its place.": put_in[new] - put_in[wild],
    }


@mutation_exercise.step("score")
def score(parse_mutation, mutation_score):
    for mutation in ("K2A", "Q9W", "M1L", "R10G", "K8A", "A7G"):
        _expect_score(mutation_score, tiny_plm(), _SEQUENCE, inputs.protein(mutation), 1)
    _expect_score(mutation_score, course_plm(), _SEQUENCE, inputs.protein("A4G"), 1)


@mutation_exercise.step("numbering")
def numbering(parse_mutation, mutation_score):
    for mutation, first in (("K27A", 26), ("R35W", 26), ("T3A", 1)):
        _expect_score(mutation_score, tiny_plm(), _SEQUENCE, inputs.protein(mutation), first)


@mutation_exercise.step("wrong residue or place")
def mismatch(parse_mutation, mutation_score):
    refuse = "Scoring it anyway gives a number about another protein."
    for mutation, first, why in (
        ("A2G", 1, f"position 2 is {_SEQUENCE[1]}, not {inputs.protein('A')}. {refuse}"),
        ("R0A", 1, "position 0 does not exist. " + refuse),
        ("M11A", 1, "the sequence has 10 residues. " + refuse),
        ("R25A", 26, "position 25 lies before the first residue; index -1 would be the last one. " + refuse),
        ("A36C", 26, "position 36 lies behind the last residue."),
    ):
        mutation = inputs.protein(mutation)
        sentence = f"{mutation} on '{_SEQUENCE}' with first={first}: {why}"
        expect_value_error(mutation_score, tiny_plm(), _SEQUENCE, mutation, first=first, sentence=sentence)


# -------------------------------------------------------------------------------------------------- 4.2 masked_marginals

marginals_exercise = Exercise(
    "4.2",
    [scoring.masked_marginals],
    hints=[
        "L copies of the sequence, each with one other position masked; from each you need one row of the output.",
        "Start every copy from the unmasked tokens. Token i + 1 of copy i is masked, and the row of interest is i + 1 of copy i.",
        (
            "copies = tokens.repeat(L, 1); rows = torch.arange(L); copies[rows, rows + 1] = 32; logits[rows, rows + 1].log_softmax(-1)[:,"
            " 4:24]."
        ),
    ],
)


def _marginals(plm, sequence):
    return torch.stack([_row(plm, sequence, i, [i + 1], i + 1) for i in range(len(sequence))])


def _row(plm, sequence, i, masked, place):
    found = _log_probs(plm, sequence, masked)[place]
    return found[4:24] - found[_wild(sequence)[i]]


def _expect_marginals(masked_marginals, plm, sequence, otherwise="The table is not log p(a) - log p(wild type) at each masked position."):
    expected = _marginals(plm, sequence)
    expect_close(masked_marginals(plm, sequence), expected, lambda: _marginal_slips(plm, sequence, expected), otherwise, f"'{sequence}'")


def _marginal_slips(plm, sequence, expected):
    """What mistakes give, from sentence to table."""
    wild, places = _wild(sequence), range(len(sequence))
    log_probs = torch.stack([_log_probs(plm, sequence, [i + 1])[i + 1] for i in places])
    alphabetical = [RESIDUES.index(letter) for letter in sorted(RESIDUES)]
    columns = torch.stack([_logits(plm, sequence, [i + 1]).log_softmax(0)[i + 1] for i in places])
    return {
        "These are log-probabilities; subtract the wild type's in each row.": log_probs[:, 4:24],
        "The sign is turned: log p(mutant) - log p(wild type).": -expected,
        "Nothing is masked in your input: these are wild-type marginals.": torch.stack([_row(plm, sequence, i, [], i + 1) for i in places]),
        "All positions are masked at once: the model has nothing left to read.": torch.stack(
            [_row(plm, sequence, i, range(1, len(sequence) + 1), i + 1) for i in places]
        ),
        "The masks pile up: each copy must start from the unmasked sequence.": torch.stack(
            [_row(plm, sequence, i, range(1, i + 2), i + 1) for i in places]
        ),
        "You mask and read one token too early: residue i is token i + 1.": torch.stack([_row(plm, sequence, i, [i], i) for i in places]),
        "You mask the right token but read the one before.": torch.stack([_row(plm, sequence, i, [i + 1], i) for i in places]),
        "The columns are in alphabetical order; asked for is the order of the ids, LAGVSERTIDPKQNFYMHWC.": expected[:, alphabetical],
        "These are probabilities, not their logarithms.": log_probs[:, 4:24].exp() - log_probs.exp().gather(1, wild[:, None]),
        "This logarithm has base 2; asked for is the natural one.": expected / np.log(2),
        "The columns begin one id too late: the residues are the ids 4 to 23, in Python 4:24.": (
            log_probs[:, 5:25] - log_probs.gather(1, wild[:, None])
        ),
        "Your softmax runs over the positions; it belongs over the tokens, the last axis.": (
            columns[:, 4:24] - columns.gather(1, wild[:, None])
        ),
        "A residue that comes a second time gets the row of the first: count positions (enumerate), do not search for the letter.": (
            expected[[sequence.index(letter) for letter in sequence]]
        ),
        "You mask every residue of the same kind; each copy has one mask.": torch.stack(
            [_row(plm, sequence, i, [j + 1 for j in places if sequence[j] == sequence[i]], i + 1) for i in places]
        ),
    }


@marginals_exercise.step("shape", points=0)
def marginals_shape(masked_marginals):
    shape = tuple(getattr(masked_marginals(tiny_plm(), _SEQUENCE), "shape", ()))
    expect(shape != (10, 33), "The table has 33 columns; asked for are the 20 standard residues, ids 4 to 23.")
    expect(shape != (12, 20), "The table has 12 rows for 10 residues: <cls> and <eos> are in it.")
    expect(shape == (10, 20), f"For a protein of 10 residues the table has shape {list(shape)}; asked for is [10, 20].")


@marginals_exercise.step("wild type is zero")
def marginals_zero(masked_marginals):
    table = torch.as_tensor(masked_marginals(tiny_plm(), _SEQUENCE)).detach().float()
    empty = (table == 0).all(1).nonzero()[:, 0].tolist()
    expect(
        not empty, f"Rows {empty} of the table hold nothing but zeros (rows count from 0): was the last batch left out?", f"'{_SEQUENCE}'"
    )
    at_wild = table.gather(1, _wild(_SEQUENCE)[:, None] - 4)[:, 0]
    if not torch.allclose(at_wild, torch.zeros(10), atol=1e-5):
        worst = int(at_wild.abs().argmax())  # nan counts as the largest
        _expect_marginals(
            masked_marginals,
            tiny_plm(),
            _SEQUENCE,
            f"Position {worst + 1} scores {at_wild[worst]:.3f} for keeping "
            f"{_SEQUENCE[worst]}: no change should score 0. Is the wild type's log-probability subtracted in each row?",
        )


@marginals_exercise.step("values")
def marginals_values(masked_marginals):
    _expect_marginals(masked_marginals, tiny_plm(), _SEQUENCE)  # here no two mistakes give the same table
    found = smallest(
        st.text(RESIDUES, min_size=1, max_size=8).map(inputs.protein),
        lambda sequence: not torch.allclose(
            torch.as_tensor(masked_marginals(tiny_plm(), sequence)).float(), _marginals(tiny_plm(), sequence), atol=1e-3
        ),
    )
    if found is not None:
        _expect_marginals(masked_marginals, tiny_plm(), found)
    expect_close(
        masked_marginals(tiny_plm(), _LONG),
        _marginals(tiny_plm(), _LONG),
        {},
        f"The table is right for 10 residues and wrong for {len(_LONG)}: if you work in batches, does each begin at the right residue?",
        f"'{_LONG}'",
    )
    _expect_marginals(masked_marginals, course_plm(), _SEQUENCE)


@marginals_exercise.step("clean hands")
def marginals_state(masked_marginals):
    result = masked_marginals(tiny_plm(), _SEQUENCE)
    expect(
        not getattr(result, "requires_grad", False),
        "The table still carries the graph of all forward passes: run the model under torch.no_grad() (plm.forward does).",
    )
    with warnings.catch_warnings(record=True):  # the note on lower case is expected here and not the reader's business
        lower = masked_marginals(tiny_plm(), _SEQUENCE.lower())
    expect_close(lower, result, {}, "Lower-case letters should be read as upper case.", f"'{_SEQUENCE.lower()}'")


# -------------------------------------------------------------------------------------------------------- 4.3 spearman_ci

spearman_exercise = Exercise(
    "4.3",
    [metrics.spearman_ci],
    hints=[
        (
            "Spearman's rho is Pearson's correlation of the ranks. For the interval, pretend that your sample is the world, draw from it"
            " again and again, and look at how far rho scatters."
        ),
        (
            "Draw pair numbers with replacement, and take x and y at the same numbers. Ranks must be recomputed in each draw;"
            " scipy.stats.rankdata gives tied values their average rank."
        ),
        (
            "rows = rng.integers(0, n, n); rhos.append(rho(x[rows], y[rows])); at the end np.quantile(rhos, [(1 - level) / 2, (1 + level) /"
            " 2])."
        ),
    ],
)


def _pairs(n=60, noise=1.0):
    """Pairs that rise together, on a curve; of 60 the first draw in which every usual mistake gives a number of its own."""
    for seed in itertools.count():
        generator = inputs.rng(seed)
        x = generator.normal(size=n)
        x, y = np.exp(2 * x), x + noise * generator.normal(size=n)
        if n < 60 or _telling(x, y):
            return x, y


def _rounded(x, y):
    """The same pairs with many ties."""
    return np.round(x / x.max() * 4), np.round(y)


def _ordinal(x, y):
    """What argsort of argsort makes of ties."""
    return np.corrcoef(np.argsort(np.argsort(x)), np.argsort(np.argsort(y)))[0, 1]


def _telling(x, y):
    rho, tied = metrics.spearman(x, y), _rounded(x, y)
    ties_matter = np.count_nonzero(tied[0]) >= 10 and abs(metrics.spearman(*tied) - _ordinal(*tied)) > 0.03
    return ties_matter and 0.5 < rho < 0.7 and rho - np.corrcoef(x, y)[0, 1] > 0.1


@spearman_exercise.step("three numbers", points=0)
def spearman_shape(spearman_ci):
    result = spearman_ci(*_pairs())
    expect(isinstance(result, (tuple, list)) and len(result) == 3, "spearman_ci should return three numbers: (rho, low, high).")
    expect(all(np.ndim(value) == 0 and np.isfinite(value) for value in result), f"The result {result} should be three finite numbers.")


@spearman_exercise.step("rho")
def spearman_rho(spearman_ci):
    x, y = _pairs()
    result, rho = spearman_ci(x, y), metrics.spearman(x, y)
    expect(abs(result[0] - rho) < 1e-6 or abs(result[1] - rho) > 1e-6, "The second number is rho; asked for is (rho, low, high).")
    expect(
        1e-6 > abs(result[0] - rho) or abs(result[0] - rho) > 0.03,
        f"The first number is {result[0]:.4f}, rho of the data is {rho:.4f}: is it the mean of the draws?",
    )
    expect_close(
        result[0],
        rho,
        {
            "This is Kendall's tau; asked for is Spearman's rho.": kendalltau(x, y)[0],
            "np.argsort gives the order, not the ranks; scipy.stats.rankdata gives the ranks.": np.corrcoef(np.argsort(x), np.argsort(y))[
                0, 1
            ],
            "This is the p-value.": spearmanr(x, y)[1],
            "This is Pearson's correlation of the values; take their ranks first.": np.corrcoef(x, y)[0, 1],
            "The sign is turned.": -rho,
        },
        "rho is not Spearman's correlation.",
    )
    expect_close(
        spearman_ci(x, -y)[0],
        -rho,
        {"A falling relation has a negative rho: take no absolute value.": rho},
        "rho is not Spearman's correlation.",
    )
    tied = _rounded(x, y)
    sentence = "Equal values get different ranks in your function (argsort does that); tied values share their average rank."
    expect_close(
        spearman_ci(*tied)[0],
        metrics.spearman(*tied),
        {sentence: _ordinal(*tied)},
        "rho is wrong where values are tied.",
        "60 pairs, both sides rounded",
    )
    expect_close(spearman_ci(x.tolist(), y.tolist())[0], metrics.spearman(x, y), {}, "Plain lists should work as well as arrays.")


@spearman_exercise.step("interval")
def spearman_interval(spearman_ci):
    x, y = _pairs()
    rho, low, high = spearman_ci(x, y)
    _, wanted_low, wanted_high = metrics.spearman_ci(x, y)
    expect(low <= high, f"The interval runs from {low:.2f} to {high:.2f}: low and high are exchanged.")
    expect(
        high - low > 1e-6, "The interval has no width: all draws are the same. Draw with replacement, and make one generator for all draws."
    )
    expect(
        not low < 0 < high,
        f"The interval {low:.2f} to {high:.2f} lies around 0, rho is {rho:.2f}. Were x and y drawn separately? A pair must stay a pair.",
    )
    expect(
        high > wanted_low,
        f"The interval {low:.2f} to {high:.2f} lies below rho = {rho:.2f}: np.percentile wants 2.5 and 97.5, np.quantile 0.025 and 0.975.",
    )
    _, pearson_low, pearson_high = metrics.bootstrap_ci(lambda a, b: np.corrcoef(a, b)[0, 1], x, y)
    expect(
        max(abs(low - pearson_low), abs(high - pearson_high)) > 0.05,
        f"The interval {low:.2f} to {high:.2f} is that of Pearson's correlation: take the ranks in each draw.",
    )
    off = max(abs(low - wanted_low), abs(high - wanted_high))
    expect(
        off < 0.05,
        f"The 95 % interval is {low:.2f} to {high:.2f}; drawing 60 pairs with replacement gives about {wanted_low:.2f} to"
        f" {wanted_high:.2f}.",
    )
    _expect_every_pair(spearman_ci)
    x, y = _pairs(12, noise=0.2)
    _, low, high = spearman_ci(x, y, n_boot=300)
    expect(
        low >= -1 and high <= 1,
        f"The interval {low:.2f} to {high:.2f} runs beyond 1, where no correlation can be: take percentiles of the "
        "draws, not rho plus and minus something.",
        "12 pairs, rho near 1",
    )


def _expect_every_pair(spearman_ci):
    """One pair out of line, first or last: draws without it have rho 1, draws with it have not."""
    for place, name in ((0, "first"), (-1, "last")):
        x, y = np.arange(8.0), np.arange(8.0)
        y[place] = 20 if place == 0 else -20
        expect(
            spearman_ci(x, y, n_boot=300)[1] < 0.9,
            f"The {name} pair is never drawn: rng.integers(0, n, n) draws 0 to n - 1.",
            f"y = {y.tolist()}",
        )


@spearman_exercise.step("level, seed, draws")
def spearman_options(spearman_ci):
    x, y = _pairs()
    state = np.random.get_state()[1].copy()
    first, again, other = (spearman_ci(x, y, seed=seed) for seed in (0, 0, 1))
    expect(tuple(first) == tuple(again), "Two calls with the same seed differ.")
    expect(tuple(first) != tuple(other), "Seeds 0 and 1 give the same interval: the seed is not used.")
    expect(np.array_equal(state, np.random.get_state()[1]), "The global random state has changed: use np.random.default_rng(seed).")
    for level in (0.5, 0.8):
        _, low, high = spearman_ci(x, y, level=level)
        _, wanted_low, wanted_high = metrics.spearman_ci(x, y, level=level)
        narrow = high - low < 0.5 * (wanted_high - wanted_low)
        expect(
            max(abs(low - wanted_low), abs(high - wanted_high)) < 0.05 and not narrow,
            f"For level={level} the interval is {low:.2f} to {high:.2f}; about {wanted_low:.2f} to {wanted_high:.2f} is expected.",
        )
    spread = [np.std([spearman_ci(x, y, n_boot=n, seed=seed)[1] for seed in range(8)]) for n in (5, 200)]
    expect(spread[0] > spread[1], "With 5 draws the interval scatters no more than with 200: n_boot is not used.")


# ---------------------------------------------------------------------------------------------- 4.4 pseudo_log_likelihood

likelihood_exercise = Exercise(
    "4.4",
    [scoring.pseudo_log_likelihood],
    hints=[
        "How surprised is the model at each residue when it sees all the others? Add that up.",
        "It is the same masked run as for masked marginals; now you need the log-probability of the residue that really stands there.",
        "sum over i of log_probs[i, tokens[0, i + 1]], where log_probs[i] comes from the copy in which token i + 1 is masked.",
    ],
)


def _expect_likelihood(pseudo_log_likelihood, plm, sequence):
    masked = torch.stack([_log_probs(plm, sequence, [i + 1])[i + 1] for i in range(len(sequence))])
    total = masked.gather(1, _wild(sequence)[:, None]).sum()
    expect_close(
        pseudo_log_likelihood(plm, sequence),
        total,
        lambda: _mistakes(plm, sequence, masked) | _slips(plm, sequence, masked),
        "The number is not the sum of masked log-probabilities of the true residues.",
        f"'{sequence}'",
    )


def _mistakes(plm, sequence, masked):
    """What common mistakes give, from sentence to value; ``masked`` holds the right rows, [L, 33]."""
    wild, places = _wild(sequence), range(len(sequence))
    visible = _log_probs(plm, sequence, [])[1:-1]
    at = masked.gather(1, wild[:, None])[:, 0]
    total, tokens = at.sum(), plm.tokenize([sequence])[0]
    ends = sum(_log_probs(plm, sequence, [place])[place, tokens[place]] for place in (0, len(tokens) - 1))
    early = sum(_log_probs(plm, sequence, [i])[i, wild[i]] for i in places)
    only_20 = (masked[:, 4:24].log_softmax(-1).gather(1, wild[:, None] - 4)).sum()
    return {
        "The sign is turned: log-probabilities are below zero, and so is their sum.": -total,
        "This is the mean over the residues; asked for is the sum.": total / len(sequence),
        "This is the perplexity; asked for is the sum of log-probabilities.": (-total / len(sequence)).exp(),
        "The residues stay visible in your input: mask each one in turn.": visible.gather(1, wild[:, None]).sum(),
        "<cls> and <eos> are counted too: only residues belong in the sum.": total + ends,
        "Residue i is compared with token i; <cls> comes first, so it is token i + 1.": early,
        "The softmax runs over 20 residues; asked for is the whole vocabulary of 33 tokens.": only_20,
        "This logarithm has base 2; asked for are nats.": total / np.log(2),
        "This logarithm has base 10; asked for are nats.": total / np.log(10),
        "This is the sum of the probabilities, not of their logarithms.": at.exp().sum(),
    }


def _slips(plm, sequence, masked):
    """What smaller slips give, from sentence to value; ``masked`` holds the right rows, [L, 33]."""
    wild, places, tokens = _wild(sequence), range(len(sequence)), plm.tokenize([sequence])[0]
    at = masked.gather(1, wild[:, None])[:, 0]
    total = at.sum()
    return {
        "You mask the right token but read the one before: <cls> comes first.": sum(
            _log_probs(plm, sequence, [i + 1])[i, wild[i]] for i in places
        ),
        "The masks pile up: each copy must start from the unmasked sequence.": sum(
            _log_probs(plm, sequence, range(1, i + 2))[i + 1, wild[i]] for i in places
        ),
        "All positions are masked at once: the model has nothing left to read.": (
            _log_probs(plm, sequence, range(1, len(sequence) + 1))[1:-1].gather(1, wild[:, None]).sum()
        ),
        "<eos> is counted too: only residues belong in the sum.": total + _log_probs(plm, sequence, [-1])[-1, tokens[-1]],
        "The last residue is missing in the sum.": total - at[-1],
        "The first residue is missing in the sum.": total - at[0],
        "This is the first residue's log-probability alone: does the return stand inside the loop?": at[0],
        "These are raw logits: take log_softmax over the tokens first.": sum(
            _logits(plm, sequence, [i + 1])[i + 1, wild[i]] for i in places
        ),
        "Your softmax runs over the positions; it belongs over the tokens, the last axis.": sum(
            _logits(plm, sequence, [i + 1]).log_softmax(0)[i + 1, wild[i]] for i in places
        ),
        "This is the sum for the most probable tokens, not for the residues that stand there.": masked.max(1).values.sum(),
        "This is the log-probability of <mask>: read the true residue from the unmasked tokens.": masked[:, MASK].sum(),
        "A residue that comes a second time is not counted as such: count positions (enumerate), do not search for the letter.": sum(
            at[sequence.index(letter)] for letter in sequence
        ),
        "Each kind of residue is counted once; asked for is each position.": sum(
            {letter: value for letter, value in zip(sequence, at)}.values()
        ),
        "This is the logarithm of a sum; asked for is the sum of the logarithms.": at.exp().sum().log(),
        "The model sees only what comes before each residue; what comes after belongs to the context too.": sum(
            _before(plm, sequence, i) for i in places
        ),
    }


def _before(plm, sequence, i):
    """Log-probability of residue i from the residues before it alone."""
    tokens = plm.tokenize([sequence])[:, : i + 2]
    tokens[0, -1] = MASK
    return plm.forward(tokens).logits[0, -1].float().log_softmax(-1)[_wild(sequence)[i]]


@likelihood_exercise.step("a float", points=0)
def likelihood_shape(pseudo_log_likelihood):
    result = pseudo_log_likelihood(tiny_plm(), _SEQUENCE)
    expect(isinstance(result, float), f"The result is a {type(result).__name__}; asked for is a Python float.")


@likelihood_exercise.step("value")
def likelihood_value(pseudo_log_likelihood):
    for sequence in (_SEQUENCE, _SEQUENCE[:2]):  # the longer one first: there no two mistakes give the same number
        _expect_likelihood(pseudo_log_likelihood, tiny_plm(), sequence)
    _expect_likelihood(pseudo_log_likelihood, course_plm(), _SEQUENCE)


@likelihood_exercise.step("any sequence")
def likelihood_any(pseudo_log_likelihood):
    found = smallest(
        st.text(RESIDUES, min_size=1, max_size=8).map(inputs.protein),
        lambda sequence: abs(pseudo_log_likelihood(tiny_plm(), sequence) - scoring.pseudo_log_likelihood(tiny_plm(), sequence)) > 1e-2,
    )
    if found is not None:
        _expect_likelihood(pseudo_log_likelihood, tiny_plm(), found)
    total = pseudo_log_likelihood(tiny_plm(), _LONG)
    expect(
        np.isfinite(total),
        f"For {len(_LONG)} residues the result is {total}: a product of so many probabilities is too small for the computer. "
        "Add up logarithms.",
        f"'{_LONG}'",
    )
    expect(
        abs(total - scoring.pseudo_log_likelihood(tiny_plm(), _LONG)) < 0.05,
        f"The number is right for 10 residues and wrong for {len(_LONG)}: if you "
        "work in batches, does each begin at the right residue, and is the last one counted?",
        f"'{_LONG}'",
    )
