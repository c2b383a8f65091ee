"""Exercise 5.4, scores.

Most answers call ``answer`` with one part of it exchanged; a class would write the same in one piece.
"""
import random

import numpy as np
import torch
from scipy.stats import norm
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, matthews_corrcoef
from sklearn.utils import resample

IGNORE = -100


# ------------------------------------------------------------------------- the parts of an answer as it should be

def units(true, predicted, classes):
    """What is drawn: a list of (true labels, predicted labels), one per protein or row, without ignored positions."""
    if len(true) != len(predicted):
        raise ValueError(f"{len(true)} true and {len(predicted)} predicted entries")
    kept = []
    for own, guess in zip(true, predicted):
        own, guess = np.atleast_1d(np.asarray(own)), np.atleast_1d(np.asarray(guess))
        if len(own) != len(guess):
            raise ValueError(f"{len(own)} true and {len(guess)} predicted labels in one protein")
        own, guess = own[own != IGNORE], guess[own != IGNORE]
        if len(own):
            kept.append((own, guess))
    every = np.concatenate([part for pair in kept for part in pair]) if kept else np.array([])
    if len(every) == 0:
        raise ValueError("nothing is left to score")
    if every.min() < 0 or every.max() >= classes:
        raise ValueError(f"a label is not between 0 and {classes - 1}")
    return kept


def table(pairs, classes):
    """The confusion matrix of all labels of the units; rows are the true classes."""
    true, predicted = (np.concatenate(side) for side in zip(*pairs))
    return np.bincount(true * classes + predicted, minlength=classes ** 2).reshape(classes, classes)


def tables(pairs, classes):
    return np.array([table([pair], classes) for pair in pairs])


def class_f1(matrix):
    members = matrix.sum(0) + matrix.sum(1)
    return 2 * matrix.diagonal() / np.where(members > 0, members, 1)


def macro_f1(matrix):
    return class_f1(matrix).mean()


def mcc(matrix):
    matrix = matrix.astype(float)
    total, right, true, guess = matrix.sum(), matrix.trace(), matrix.sum(1), matrix.sum(0)
    spread = np.sqrt((total ** 2 - true @ true) * (total ** 2 - guess @ guess))
    return (right * total - true @ guess) / spread if spread > 0 else 0.0


def accuracy(matrix):
    return matrix.trace() / matrix.sum()


def percentiles(value, draws, level):
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return value, low, high


def rows_of(n, n_boot, seed):
    """For each draw the units that are in it."""
    return np.random.default_rng(seed).integers(0, n, (n_boot, n))


def answer(true, predicted, classes, n_boot, seed, level, units=units, rows=rows_of, result=percentiles, **other):
    """The scores; each part can be exchanged."""
    kinds = {"macro_f1": macro_f1, "mcc": mcc, "q3": accuracy} | other
    matrices = tables(units(true, predicted, classes), classes)
    draws = [matrices[chosen].sum(0) for chosen in rows(len(matrices), n_boot, seed)]
    return {name: result(kind(matrices.sum(0)), [kind(draw) for draw in draws], level) for name, kind in kinds.items()}


# ------------------------------------------------------------------------------------------------ wrong: the scores

def wrong_scores__weighted_f1(true, predicted, classes, n_boot=1000, seed=0, level=0.95):
    """Weights the classes by their members.

    message: macro
    message: weight
    """
    def weighted(matrix):
        return (class_f1(matrix) * matrix.sum(1)).sum() / matrix.sum()

    return answer(true, predicted, classes, n_boot, seed, level, macro_f1=weighted)


def wrong_scores__micro_f1(true, predicted, classes, n_boot=1000, seed=0, level=0.95):
    """Counts all labels together: that is the accuracy.

    message: macro
    message: micro
    message: accuracy
    """
    return answer(true, predicted, classes, n_boot, seed, level, macro_f1=accuracy)


def wrong_scores__f1_of_class_one(true, predicted, classes, n_boot=1000, seed=0, level=0.95):
    """The binary F1: of class 1 alone.

    message: macro
    message: class 1
    """
    return answer(true, predicted, classes, n_boot, seed, level, macro_f1=lambda matrix: class_f1(matrix)[1])


def wrong_scores__f1_of_means(true, predicted, classes, n_boot=1000, seed=0, level=0.95):
    """Averages precision and recall first and combines them then.

    message: macro
    """
    def combined(matrix):
        right = matrix.diagonal()
        precision = (right / np.maximum(matrix.sum(0), 1)).mean()
        recall = (right / np.maximum(matrix.sum(1), 1)).mean()
        return 2 * precision * recall / (precision + recall) if right.any() else 0.0

    return answer(true, predicted, classes, n_boot, seed, level, macro_f1=combined)


def wrong_scores__f1_of_classes_present(true, predicted, classes, n_boot=1000, seed=0, level=0.95):
    """Averages over the classes that occur, as f1_score(average="macro") without labels=.

    message: class
    """
    def present(matrix):
        return class_f1(matrix)[matrix.sum(0) + matrix.sum(1) > 0].mean()

    return answer(true, predicted, classes, n_boot, seed, level, macro_f1=present)


def wrong_scores__f1_of_true_classes(true, predicted, classes, n_boot=1000, seed=0, level=0.95):
    """Averages over the classes that occur in `true`: one that is only ever guessed wrongly costs nothing.

    message: class
    """
    def present(matrix):
        return class_f1(matrix)[matrix.sum(1) > 0].mean()

    return answer(true, predicted, classes, n_boot, seed, level, macro_f1=present)


def wrong_scores__empty_class_scores_one(true, predicted, classes, n_boot=1000, seed=0, level=0.95):
    """zero_division=1: a class that nobody has counts as perfect.

    message: class
    """
    def generous(matrix):
        return np.where(matrix.sum(0) + matrix.sum(1) > 0, class_f1(matrix), 1).mean()

    return answer(true, predicted, classes, n_boot, seed, level, macro_f1=generous)


def wrong_scores__empty_class_is_nan(true, predicted, classes, n_boot=1000, seed=0, level=0.95):
    """0 / 0.

    message: nan
    message: class
    """
    def divided(matrix):
        with np.errstate(invalid="ignore"):
            return (2 * matrix.diagonal() / (matrix.sum(0) + matrix.sum(1))).mean()

    return answer(true, predicted, classes, n_boot, seed, level, macro_f1=divided)


def wrong_scores__without_class_zero(true, predicted, classes, n_boot=1000, seed=0, level=0.95):
    """range(1, classes): class 0 is taken for the background.

    message: class
    """
    return answer(true, predicted, classes, n_boot, seed, level, macro_f1=lambda matrix: class_f1(matrix)[1:].mean())


def wrong_scores__macro_recall_for_f1(true, predicted, classes, n_boot=1000, seed=0, level=0.95):
    """The mean of the classes' recalls where F1 belongs.

    message: recall
    message: F1
    message: macro
    """
    def recall(matrix):
        return (matrix.diagonal() / np.maximum(matrix.sum(1), 1)).mean()

    return answer(true, predicted, classes, n_boot, seed, level, macro_f1=recall)


def wrong_scores__q3_is_macro_recall(true, predicted, classes, n_boot=1000, seed=0, level=0.95):
    """The mean of the classes' recalls (balanced accuracy) where the accuracy belongs.

    message: q3
    message: recall
    message: accuracy
    """
    def recall(matrix):
        return (matrix.diagonal() / np.maximum(matrix.sum(1), 1)).mean()

    return answer(true, predicted, classes, n_boot, seed, level, q3=recall)


def wrong_scores__q3_in_percent(true, predicted, classes, n_boot=1000, seed=0, level=0.95):
    """0 to 100, as papers print it.

    message: 100
    message: percent
    message: q3
    """
    return answer(true, predicted, classes, n_boot, seed, level, q3=lambda matrix: 100 * accuracy(matrix))


def wrong_scores__q3_is_a_count(true, predicted, classes, n_boot=1000, seed=0, level=0.95):
    """How many are right, not which share.

    message: q3
    message: share
    message: divide
    """
    return answer(true, predicted, classes, n_boot, seed, level, q3=lambda matrix: matrix.trace())


def wrong_scores__binary_mcc(true, predicted, classes, n_boot=1000, seed=0, level=0.95):
    """The formula for two classes, class 1 against the others.

    message: mcc
    message: MCC
    message: Matthews
    """
    def binary(matrix):
        hit, total = float(matrix[1, 1]), float(matrix.sum())
        missed, false = matrix[1].sum() - hit, matrix[:, 1].sum() - hit
        none = total - hit - missed - false
        below = np.sqrt((hit + false) * (hit + missed) * (none + false) * (none + missed))
        return (hit * none - false * missed) / below if below else 0.0

    return answer(true, predicted, classes, n_boot, seed, level, mcc=binary)


def wrong_scores__mean_of_binary_mccs(true, predicted, classes, n_boot=1000, seed=0, level=0.95):
    """Each class against the others, and the mean of these.

    message: mcc
    message: MCC
    message: Matthews
    """
    def mean(matrix):
        found = []
        for k in range(classes):
            hit, mine, guessed, total = matrix[k, k], matrix[k].sum(), matrix[:, k].sum(), matrix.sum()
            found.append(mcc(np.array([[total - mine - guessed + hit, guessed - hit], [mine - hit, hit]])))
        return np.mean(found)

    return answer(true, predicted, classes, n_boot, seed, level, mcc=mean)


def wrong_scores__kappa(true, predicted, classes, n_boot=1000, seed=0, level=0.95):
    """Cohen's kappa.

    message: mcc
    message: MCC
    message: Matthews
    message: kappa
    """
    def kappa(matrix):
        chance = matrix.sum(0) @ matrix.sum(1) / matrix.sum() ** 2
        return (accuracy(matrix) - chance) / (1 - chance) if chance < 1 else 0.0

    return answer(true, predicted, classes, n_boot, seed, level, mcc=kappa)


def wrong_scores__correlation_of_class_numbers(true, predicted, classes, n_boot=1000, seed=0, level=0.95):
    """Pearson's correlation of the class numbers: the same for two classes, not for three.

    message: mcc
    message: MCC
    message: Matthews
    """
    def pearson(matrix):
        numbers, share = np.arange(classes), matrix / matrix.sum()
        x, y = share.sum(1) @ numbers, share.sum(0) @ numbers
        spread = np.sqrt((share.sum(1) @ (numbers - x) ** 2) * (share.sum(0) @ (numbers - y) ** 2))
        return (numbers - x) @ share @ (numbers - y) / spread if spread > 0 else 0.0

    return answer(true, predicted, classes, n_boot, seed, level, mcc=pearson)


# ---------------------------------------------------------------------------------------- wrong: what is counted

def wrong_scores__ignored_counted_as_wrong(true, predicted, classes, n_boot=1000, seed=0, level=0.95):
    """Positions with -100 count in the accuracy, where no prediction can be right.

    message: -100
    """
    found = answer(true, predicted, classes, n_boot, seed, level)
    pairs = [(np.atleast_1d(np.asarray(a)), np.atleast_1d(np.asarray(b))) for a, b in zip(true, predicted)]
    right = np.array([(a == b).sum() for a, b in pairs])
    sizes = np.array([len(a) for a, b in pairs])
    draws = [right[rows].sum() / sizes[rows].sum() for rows in rows_of(len(pairs), n_boot, seed)]
    return found | {"q3": percentiles(right.sum() / sizes.sum(), draws, level)}


def with_ignored_as(replace):
    """Units in which the ignored positions stay, with another true label."""
    def changed(true, predicted, classes):
        units(true, predicted, classes)
        pairs = [(np.atleast_1d(np.asarray(a)), np.atleast_1d(np.asarray(b))) for a, b in zip(true, predicted)]
        return [(np.where(a == IGNORE, replace(b, classes), a), b) for a, b in pairs]

    return changed


def wrong_scores__ignored_is_class_zero(true, predicted, classes, n_boot=1000, seed=0, level=0.95):
    """-100 becomes class 0.

    message: -100
    """
    return answer(true, predicted, classes, n_boot, seed, level, units=with_ignored_as(lambda b, classes: 0 * b))


def wrong_scores__ignored_is_the_last_class(true, predicted, classes, n_boot=1000, seed=0, level=0.95):
    """-100 ends in the last class, as a negative index or a clip does.

    message: -100
    """
    return answer(true, predicted, classes, n_boot, seed, level,
                  units=with_ignored_as(lambda b, classes: 0 * b + classes - 1))


def wrong_scores__ignored_counted_as_right(true, predicted, classes, n_boot=1000, seed=0, level=0.95):
    """Where there is no label, whatever was predicted is right.

    message: -100
    """
    return answer(true, predicted, classes, n_boot, seed, level, units=with_ignored_as(lambda b, classes: b))


def wrong_scores__per_protein(true, predicted, classes, n_boot=1000, seed=0, level=0.95):
    """Scores each protein and takes the mean: short proteins weigh as much as long ones.

    message: pool
    message: each protein
    message: per protein
    message: together
    message: proteins
    """
    matrices = tables(units(true, predicted, classes), classes)
    chosen = rows_of(len(matrices), n_boot, seed)
    found = {}
    for name, kind in {"macro_f1": macro_f1, "mcc": mcc, "q3": accuracy}.items():
        values = np.array([kind(matrix) for matrix in matrices])
        found[name] = percentiles(values.mean(), values[chosen].mean(1), level)
    return found


def wrong_scores__first_half_only(true, predicted, classes, n_boot=1000, seed=0, level=0.95):
    """Scores the first half of the entries: a batch got lost.

    message: macro
    message: all
    message: every
    """
    half = len(true) // 2 or 1
    units(true, predicted, classes)
    return answer(true[:half], predicted[:half], classes, n_boot, seed, level)


# ------------------------------------------------------------------------------------------ wrong: the bootstrap

def wrong_scores__draws_residues(true, predicted, classes, n_boot=1000, seed=0, level=0.95):
    """Draws residues: the intervals are too narrow, since the residues of a protein resemble each other.

    message: protein
    """
    def single(true, predicted, classes):
        kept = units(true, predicted, classes)
        return [(own[i:i + 1], guess[i:i + 1]) for own, guess in kept for i in range(len(own))]

    return answer(true, predicted, classes, n_boot, seed, level, units=single)


def wrong_scores__one_unit(true, predicted, classes, n_boot=1000, seed=0, level=0.95):
    """Puts everything together before it draws: all draws are the whole sample.

    message: draw
    message: interval
    """
    def together(true, predicted, classes):
        return [tuple(np.concatenate(side) for side in zip(*units(true, predicted, classes)))]

    return answer(true, predicted, classes, n_boot, seed, level, units=together)


def wrong_scores__without_replacement(true, predicted, classes, n_boot=1000, seed=0, level=0.95):
    """permutation draws without replacement: every draw is the whole sample.

    message: draw
    message: replacement
    """
    def permuted(n, n_boot, seed):
        generator = np.random.default_rng(seed)
        return [generator.permutation(n) for _ in range(n_boot)]

    return answer(true, predicted, classes, n_boot, seed, level, rows=permuted)


def wrong_scores__generator_in_the_loop(true, predicted, classes, n_boot=1000, seed=0, level=0.95):
    """A new generator with the same seed at each draw: all draws are the same.

    message: draw
    message: same
    """
    def again(n, n_boot, seed):
        return [np.random.default_rng(seed).integers(0, n, n) for _ in range(n_boot)]

    return answer(true, predicted, classes, n_boot, seed, level, rows=again)


def wrong_scores__half_the_proteins(true, predicted, classes, n_boot=1000, seed=0, level=0.95):
    """Draws half as many as there are: too wide.

    message: wide
    message: as many
    message: interval
    message: draw
    """
    def half(n, n_boot, seed):
        return np.random.default_rng(seed).integers(0, n, (n_boot, max(n // 2, 1)))

    return answer(true, predicted, classes, n_boot, seed, level, rows=half)


def wrong_scores__each_once(true, predicted, classes, n_boot=1000, seed=0, level=0.95):
    """A mask of what was drawn: a protein that was drawn twice counts once.

    message: interval
    message: draw
    message: replacement
    message: twice
    """
    def once(n, n_boot, seed):
        return [np.unique(rows) for rows in rows_of(n, n_boot, seed)]

    return answer(true, predicted, classes, n_boot, seed, level, rows=once)


def wrong_scores__last_never_drawn(true, predicted, classes, n_boot=1000, seed=0, level=0.95):
    """integers(0, n - 1) never draws the last one.

    message: last
    """
    def short(n, n_boot, seed):
        return np.random.default_rng(seed).integers(0, max(n - 1, 1), (n_boot, n))

    return answer(true, predicted, classes, n_boot, seed, level, rows=short)


def wrong_scores__not_drawn_together(true, predicted, classes, n_boot=1000, seed=0, level=0.95):
    """Draws true and predicted labels separately: the interval is that of guessing.

    message: together
    message: pair
    message: interval
    message: same
    """
    kept = units(true, predicted, classes)
    own, guess = (np.concatenate(side) for side in zip(*kept))
    rng, n = np.random.default_rng(seed), len(own)
    draws = [table([(own[rng.integers(0, n, n)], guess[rng.integers(0, n, n)])], classes) for _ in range(n_boot)]
    return {name: percentiles(kind(table(kept, classes)), [kind(draw) for draw in draws], level)
            for name, kind in {"macro_f1": macro_f1, "mcc": mcc, "q3": accuracy}.items()}


def wrong_scores__no_seed(true, predicted, classes, n_boot=1000, seed=0, level=0.95):
    """Another interval at every call.

    message: seed
    """
    return answer(true, predicted, classes, n_boot, None, level)


def wrong_scores__zero_is_no_seed(true, predicted, classes, n_boot=1000, seed=0, level=0.95):
    """`seed or None`: another interval at every call when the seed is 0.

    message: seed
    """
    return answer(true, predicted, classes, n_boot, seed or None, level)


def wrong_scores__fixed_seed(true, predicted, classes, n_boot=1000, seed=0, level=0.95):
    """Seed 0 whatever the caller says.

    message: seed
    """
    return answer(true, predicted, classes, n_boot, 0, level)


def wrong_scores__global_seed(true, predicted, classes, n_boot=1000, seed=0, level=0.95):
    """np.random.seed changes the random state of the whole notebook.

    message: global
    """
    def of_the_notebook(n, n_boot, seed):
        np.random.seed(seed)
        return np.random.randint(0, n, (n_boot, n))

    return answer(true, predicted, classes, n_boot, seed, level, rows=of_the_notebook)


def wrong_scores__ignores_n_boot(true, predicted, classes, n_boot=1000, seed=0, level=0.95):
    """Always a hundred draws.

    message: n_boot
    """
    return answer(true, predicted, classes, 100, seed, level)


def wrong_scores__no_bootstrap(true, predicted, classes, n_boot=1000, seed=0, level=0.95):
    """The textbook interval of a proportion for all three scores, no bootstrap at all.

    message: interval
    message: seed
    message: bootstrap
    message: draw
    """
    kept = units(true, predicted, classes)
    n = sum(len(own) for own, guess in kept)
    found = {}
    for name, kind in {"macro_f1": macro_f1, "mcc": mcc, "q3": accuracy}.items():
        value = kind(table(kept, classes))
        half = norm.ppf((1 + level) / 2) * np.sqrt(max(value * (1 - value), 0) / n)
        found[name] = value, value - half, value + half
    return found


# ------------------------------------------------------------------------------------------- wrong: the interval

def wrong_scores__ignores_level(true, predicted, classes, n_boot=1000, seed=0, level=0.95):
    """Always 95 %.

    message: level
    """
    return answer(true, predicted, classes, n_boot, seed, 0.95)


def wrong_scores__one_sided(true, predicted, classes, n_boot=1000, seed=0, level=0.95):
    """5 % on each side: a 90 % interval.

    message: level
    message: interval
    message: percentile
    message: quantile
    """
    def each_side(value, draws, level):
        return value, *np.quantile(draws, [1 - level, level])

    return answer(true, predicted, classes, n_boot, seed, level, result=each_side)


def wrong_scores__percent_of_percent(true, predicted, classes, n_boot=1000, seed=0, level=0.95):
    """np.percentile counts to 100, and gets 0.025 and 0.975.

    message: level
    message: interval
    message: percentile
    message: quantile
    message: low
    """
    def tiny(value, draws, level):
        return value, *np.percentile(draws, [(1 - level) / 2, (1 + level) / 2])

    return answer(true, predicted, classes, n_boot, seed, level, result=tiny)


def wrong_scores__normal(true, predicted, classes, n_boot=1000, seed=0, level=0.95):
    """The value and 1.96 standard deviations of the draws to either side.

    message: percentile
    message: quantile
    message: interval
    message: level
    """
    def around(value, draws, level):
        return value, value - 1.96 * np.std(draws), value + 1.96 * np.std(draws)

    return answer(true, predicted, classes, n_boot, seed, level, result=around)


def wrong_scores__normal_with_level(true, predicted, classes, n_boot=1000, seed=0, level=0.95):
    """A normal interval around the value instead of percentiles: it may run beyond 1.

    message: percentile
    message: quantile
    message: interval
    message: beyond 1
    """
    def around(value, draws, level):
        half = norm.ppf((1 + level) / 2) * np.std(draws)
        return value, value - half, value + half

    return answer(true, predicted, classes, n_boot, seed, level, result=around)


def wrong_scores__standard_deviation(true, predicted, classes, n_boot=1000, seed=0, level=0.95):
    """The value and one standard deviation of the draws to either side.

    message: percentile
    message: quantile
    message: interval
    message: level
    """
    def around(value, draws, level):
        return value, value - np.std(draws), value + np.std(draws)

    return answer(true, predicted, classes, n_boot, seed, level, result=around)


def wrong_scores__standard_error(true, predicted, classes, n_boot=1000, seed=0, level=0.95):
    """Divides the spread of the draws by sqrt(n_boot): more draws, narrower interval.

    message: percentile
    message: quantile
    message: interval
    message: narrow
    """
    def around(value, draws, level):
        half = norm.ppf((1 + level) / 2) * np.std(draws) / np.sqrt(len(draws))
        return value, value - half, value + half

    return answer(true, predicted, classes, n_boot, seed, level, result=around)


def wrong_scores__minimum_and_maximum(true, predicted, classes, n_boot=1000, seed=0, level=0.95):
    """The smallest and the largest draw.

    message: percentile
    message: quantile
    message: interval
    message: level
    """
    def extremes(value, draws, level):
        return value, min(draws), max(draws)

    return answer(true, predicted, classes, n_boot, seed, level, result=extremes)


def wrong_scores__basic(true, predicted, classes, n_boot=1000, seed=0, level=0.95):
    """The percentile interval mirrored at the value ("basic" bootstrap).

    message: percentile
    message: quantile
    message: interval
    """
    def mirrored(value, draws, level):
        low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
        return value, 2 * value - high, 2 * value - low

    return answer(true, predicted, classes, n_boot, seed, level, result=mirrored)


def wrong_scores__same_interval_for_all(true, predicted, classes, n_boot=1000, seed=0, level=0.95):
    """The interval of the accuracy for all three.

    message: interval
    message: own
    message: q3
    """
    found = answer(true, predicted, classes, n_boot, seed, level)
    return {name: (value, *found["q3"][1:]) for name, (value, *_) in found.items()}


# --------------------------------------------------------------------------------------------- wrong: the result

def wrong_scores__mean_of_draws(true, predicted, classes, n_boot=1000, seed=0, level=0.95):
    """The value is the mean of the draws, not that of the data.

    message: mean
    """
    def averaged(value, draws, level):
        return np.mean(draws), *percentiles(value, draws, level)[1:]

    return answer(true, predicted, classes, n_boot, seed, level, result=averaged)


def wrong_scores__high_before_low(true, predicted, classes, n_boot=1000, seed=0, level=0.95):
    """(value, high, low).

    message: low
    message: high
    """
    def exchanged(value, draws, level):
        value, low, high = percentiles(value, draws, level)
        return value, high, low

    return answer(true, predicted, classes, n_boot, seed, level, result=exchanged)


def wrong_scores__value_in_the_middle(true, predicted, classes, n_boot=1000, seed=0, level=0.95):
    """(low, value, high).

    message: value, low, high
    message: first
    message: order
    message: second
    """
    def ordered(value, draws, level):
        value, low, high = percentiles(value, draws, level)
        return low, value, high

    return answer(true, predicted, classes, n_boot, seed, level, result=ordered)


def wrong_scores__nested(true, predicted, classes, n_boot=1000, seed=0, level=0.95):
    """(value, (low, high)).

    message: value, low, high
    message: three
    """
    def nested(value, draws, level):
        return value, percentiles(value, draws, level)[1:]

    return answer(true, predicted, classes, n_boot, seed, level, result=nested)


def wrong_scores__no_intervals(true, predicted, classes, n_boot=1000, seed=0, level=0.95):
    """One number per score.

    message: value, low, high
    message: three
    message: interval
    """
    return answer(true, predicted, classes, n_boot, seed, level, result=lambda value, draws, level: value)


def wrong_scores__width(true, predicted, classes, n_boot=1000, seed=0, level=0.95):
    """(value, distance to low, distance to high), as error bars are drawn.

    message: low
    message: distance
    """
    def distances(value, draws, level):
        value, low, high = percentiles(value, draws, level)
        return value, value - low, high - value

    return answer(true, predicted, classes, n_boot, seed, level, result=distances)


def wrong_scores__other_names(true, predicted, classes, n_boot=1000, seed=0, level=0.95):
    """f1, mcc and accuracy.

    message: macro_f1
    message: q3
    """
    names = {"macro_f1": "f1", "mcc": "mcc", "q3": "accuracy"}
    return {names[name]: found for name, found in answer(true, predicted, classes, n_boot, seed, level).items()}


def wrong_scores__one_missing(true, predicted, classes, n_boot=1000, seed=0, level=0.95):
    """Forgets the correlation.

    message: mcc
    """
    found = answer(true, predicted, classes, n_boot, seed, level)
    return {name: found[name] for name in ("macro_f1", "q3")}


def wrong_scores__list(true, predicted, classes, n_boot=1000, seed=0, level=0.95):
    """A list of three results.

    message: dict
    """
    return list(answer(true, predicted, classes, n_boot, seed, level).values())


def wrong_scores__changes_true(true, predicted, classes, n_boot=1000, seed=0, level=0.95):
    """Takes the ignored positions out of the caller's arrays, by setting them to what was predicted.

    message: changes its input
    """
    found = answer(true, predicted, classes, n_boot, seed, level)
    for number, (own, guess) in enumerate(zip(true, predicted)):
        true[number] = np.where(np.asarray(own) == IGNORE, guess, own)
    return found


def wrong_scores__nothing(true, predicted, classes, n_boot=1000, seed=0, level=0.95):
    """Prints the scores.

    message: is the line with 'return' missing?
    """
    print(answer(true, predicted, classes, n_boot, seed, level))


# ---------------------------------------------------------------------------------------------- wrong: ValueError

def wrong_scores__shorter_one_counts(true, predicted, classes, n_boot=1000, seed=0, level=0.95):
    """zip stops at the shorter of the two lists.

    message: ValueError
    """
    n = min(len(true), len(predicted))
    return answer(true[:n], predicted[:n], classes, n_boot, seed, level)


def wrong_scores__too_long_a_protein(true, predicted, classes, n_boot=1000, seed=0, level=0.95):
    """Within a protein, predictions that are too many are cut off.

    message: ValueError
    """
    if len(true) != len(predicted):
        raise ValueError("as many predictions as proteins, please")
    shorter = [(np.atleast_1d(a), np.atleast_1d(b)) for a, b in zip(true, predicted)]
    shorter = [(a[:len(b)], b[:len(a)]) for a, b in shorter]
    return answer(*map(list, zip(*shorter)), classes, n_boot, seed, level)


def wrong_scores__nothing_left_is_zero(true, predicted, classes, n_boot=1000, seed=0, level=0.95):
    """Zeros when no position has a label.

    message: ValueError
    """
    if len(true) and all((np.asarray(own) == IGNORE).all() for own in true):
        return {name: (0.0, 0.0, 0.0) for name in ("macro_f1", "mcc", "q3")}
    return answer(true, predicted, classes, n_boot, seed, level)


def wrong_scores__unknown_class_dropped(true, predicted, classes, n_boot=1000, seed=0, level=0.95):
    """Labels that are no class are left out without a word.

    message: ValueError
    """
    def lenient(true, predicted, classes):
        highest = max(int(np.max(own)) for side in (true, predicted) for own in side)
        kept = units(true, predicted, max(classes, highest + 1))
        known = [(own < classes) & (guess < classes) for own, guess in kept]
        return [(own[k], guess[k]) for (own, guess), k in zip(kept, known) if k.any()]

    return answer(true, predicted, classes, n_boot, seed, level, units=lenient)


def wrong_scores__more_classes_than_said(true, predicted, classes, n_boot=1000, seed=0, level=0.95):
    """A label beyond the last class is one class more.

    message: ValueError
    """
    highest = max(int(np.max(own)) for side in (true, predicted) for own in side)
    return answer(true, predicted, max(classes, highest + 1), n_boot, seed, level)


# --------------------------------------------------------------------------------------------------- right answers

def right_scores__sklearn(true, predicted, classes, n_boot=1000, seed=0, level=0.95):
    """scikit-learn's scores and its resample; of each protein its matrix, since scores of each draw take seconds."""
    pairs, labels = units(true, predicted, classes), list(range(classes))
    own, guess = (np.concatenate(side) for side in zip(*pairs))
    values = (f1_score(own, guess, labels=labels, average="macro", zero_division=0), matthews_corrcoef(own, guess),
              accuracy_score(own, guess))
    matrices = np.array([confusion_matrix(*pair, labels=labels) for pair in pairs])
    dice = np.random.RandomState(seed)
    draws = [resample(matrices, random_state=dice).sum(0) for _ in range(n_boot)]
    draws = np.array([(macro_f1(draw), mcc(draw), accuracy(draw)) for draw in draws])
    low, high = np.percentile(draws, [50 * (1 - level), 50 * (1 + level)], axis=0)
    return {name: (values[k], low[k], high[k]) for k, name in enumerate(("macro_f1", "mcc", "q3"))}


def right_scores__confusion_matrices(true, predicted, classes, n_boot=1000, seed=0, level=0.95):
    """A matrix per protein, drawn and summed."""
    return answer(true, predicted, classes, n_boot, seed, level)


def right_scores__multinomial(true, predicted, classes, n_boot=1000, seed=0, level=0.95):
    """All draws at once: how often each protein is drawn, times its matrix."""
    kept = units(true, predicted, classes)
    found = np.zeros((len(kept), classes, classes))
    for matrix, (own, guess) in zip(found, kept):
        np.add.at(matrix, (own, guess), 1)
    counts = np.random.RandomState(seed).multinomial(len(kept), np.full(len(kept), 1 / len(kept)), size=n_boot)
    drawn = np.concatenate([found.sum(0)[None], np.tensordot(counts, found, 1)])
    right, n = np.einsum("bkk->bk", drawn), drawn.sum((1, 2))
    own, guess = drawn.sum(2), drawn.sum(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        f1 = np.nan_to_num(2 * right / (own + guess)).mean(1)
        cov = right.sum(1) * n - (own * guess).sum(1)
        mcc = np.nan_to_num(cov / np.sqrt((n ** 2 - (own ** 2).sum(1)) * (n ** 2 - (guess ** 2).sum(1))))
    result = {}
    for name, values in (("macro_f1", f1), ("mcc", mcc), ("q3", right.sum(1) / n)):
        low, high = np.quantile(values[1:], [0.5 - level / 2, 0.5 + level / 2])
        result[name] = float(values[0]), float(low), float(high)
    return result


def right_scores__torch(true, predicted, classes, n_boot=1000, seed=0, level=0.95):
    """With a torch.Generator; tensors of no dimension as results."""
    pairs = [(torch.as_tensor(own), torch.as_tensor(guess)) for own, guess in units(true, predicted, classes)]
    found = torch.stack([torch.bincount(own * classes + guess, minlength=classes ** 2) for own, guess in pairs])
    found = found.reshape(-1, classes, classes).double()
    rows = torch.randint(len(found), (n_boot, len(found)), generator=torch.Generator().manual_seed(seed))
    drawn = torch.cat([found.sum(0, keepdim=True), torch.stack([found[chosen].sum(0) for chosen in rows])])
    right, own, guess = drawn.diagonal(dim1=1, dim2=2), drawn.sum(2), drawn.sum(1)
    n = drawn.sum((1, 2))
    spread = ((n ** 2 - own.square().sum(1)) * (n ** 2 - guess.square().sum(1))).sqrt()
    every = {"macro_f1": (2 * right / (own + guess).clamp(min=1)).mean(1),
             "mcc": (right.sum(1) * n - (own * guess).sum(1)) / torch.where(spread > 0, spread, 1.0),
             "q3": right.sum(1) / n}
    places = torch.tensor([(1 - level) / 2, (1 + level) / 2], dtype=torch.double)
    return {name: (values[0], *torch.quantile(values[1:], places)) for name, values in every.items()}


def right_scores__plain_python(true, predicted, classes, n_boot=1000, seed=0, level=0.95):
    """Lists, and a random.Random of its own."""
    pairs = [list(zip(own.tolist(), guess.tolist())) for own, guess in units(true, predicted, classes)]
    counted = [{pair: labels.count(pair) for pair in set(labels)} for labels in pairs]

    def score(chosen):
        count = {}
        for entry in chosen:
            for pair, times in entry.items():
                count[pair] = count.get(pair, 0) + times
        own, guess, right = [0] * classes, [0] * classes, [0] * classes
        for (a, b), times in count.items():
            own[a] += times
            guess[b] += times
            right[a] += times * (a == b)
        n = sum(own)
        f1 = sum(2 * r / (a + b) if a + b else 0 for r, a, b in zip(right, own, guess)) / classes
        below = ((n * n - sum(a * a for a in own)) * (n * n - sum(b * b for b in guess))) ** 0.5
        above = sum(right) * n - sum(a * b for a, b in zip(own, guess))
        return f1, above / below if below else 0.0, sum(right) / n

    dice = random.Random(seed)
    draws = list(zip(*(score(dice.choices(counted, k=len(counted))) for _ in range(n_boot))))
    result = {}
    for name, value, values in zip(("macro_f1", "mcc", "q3"), score(counted), draws):
        ordered, last = sorted(values), n_boot - 1
        result[name] = [value, ordered[round((1 - level) / 2 * last)], ordered[round((1 + level) / 2 * last)]]
    return result
