"""Scores with confidence intervals. A number without an interval does not say whether it means anything."""
import numpy as np
import pandas as pd
from scipy.stats import rankdata

from plmcourse.sequences import IGNORE


def bootstrap_ci(statistic, *samples, n_boot=1000, seed=0, level=0.95):
    """A statistic and its percentile-bootstrap interval; rows of all samples are drawn together.

    Parameters
    ----------
    statistic : callable
        Takes the samples, returns a float, e.g. ``sklearn.metrics.accuracy_score``.
    *samples : array-like, each of length n
    n_boot, seed : int
        Number of draws; two calls with the same seed give the same interval.
    level : float, between 0 and 1

    Returns
    -------
    value, low, high : float

    Source: Efron & Tibshirani (1993), An Introduction to the Bootstrap, ch. 13.
    """
    samples = [np.asarray(sample) for sample in samples]
    generator, n = np.random.default_rng(seed), len(samples[0])
    drawn = []
    for _ in range(n_boot):
        rows = generator.integers(0, n, n)
        drawn.append(statistic(*(sample[rows] for sample in samples)))
    return float(statistic(*samples)), *interval(drawn, level)  # a draw whose values are all equal may have no statistic


def spearman(x, y):
    """Spearman's rank correlation of two arrays of length n, ties given their average rank; nan if one is constant."""
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    return float(np.corrcoef(rankdata(x), rankdata(y))[0, 1])


def spearman_ci(x, y, n_boot=1000, seed=0, level=0.95):
    """Spearman's rank correlation with a percentile-bootstrap interval over pairs.

    Parameters
    ----------
    x, y : array-like, shape [n]
    n_boot, seed, level
        As in :func:`bootstrap_ci`.

    Returns
    -------
    rho, low, high : float

    Raises
    ------
    ValueError
        If the lengths differ, there are fewer than three pairs, a value is not finite, or one side is constant.
    """
    x, y = np.asarray(x, float), np.asarray(y, float)
    if x.shape != y.shape or x.ndim != 1:
        raise ValueError(f"spearman_ci needs two lists of equal length, not shapes {x.shape} and {y.shape}")
    if len(x) < 3:
        raise ValueError(f"spearman_ci needs at least three pairs, not {len(x)}")
    for name, values in (("x", x), ("y", y)):
        if not np.isfinite(values).all():
            raise ValueError(f"{name}[{int(np.argmin(np.isfinite(values)))}] is {values[~np.isfinite(values)][0]}: drop "
                             "missing pairs before you correlate")
        if (values == values[0]).all():
            raise ValueError(f"all values of {name} are {values[0]:g}: a constant has no ranks to correlate")
    return bootstrap_ci(spearman, x, y, n_boot=n_boot, seed=seed, level=level)


def confusions(true, predicted, classes):
    """One confusion matrix per protein, or per row where a protein has one label: int array [units, classes, classes].

    ``true`` and ``predicted`` hold one int per protein, or one int array [L] per protein, where -100 in ``true`` does not
    count; an entry of which nothing is left is dropped. Rows of a matrix are the true classes. Raises a ValueError where
    lengths differ, a class does not exist, or nothing is left at all.
    """
    if len(true) != len(predicted) or len(true) == 0:
        raise ValueError(f"there are {len(true)} true and {len(predicted)} predicted entries: needed are as many, and at least one")
    found = np.zeros((len(true), classes, classes), int)
    for unit, (own, guess) in enumerate(zip(true, predicted)):
        own, guess = np.atleast_1d(own), np.atleast_1d(guess)
        if own.shape != guess.shape:
            raise ValueError(f"entry {unit} has {len(own)} true and {len(guess)} predicted labels")
        own, guess = own[own != IGNORE], guess[own != IGNORE]
        for name, values in (("true", own), ("predicted", guess)):
            if len(bad := values[(values < 0) | (values >= classes)]):
                raise ValueError(f"entry {unit} has the {name} label {bad[0]}: the classes are 0 to {classes - 1}")
        np.add.at(found[unit], (own, guess), 1)
    found = found[found.sum((1, 2)) > 0]
    if len(found) == 0:
        raise ValueError("no position has a label (all are -100): there is nothing to score")
    return found


def from_confusion(matrix):
    """Macro-F1, Matthews correlation and accuracy of confusion matrices [..., classes, classes]: dict of arrays [...].

    As scikit-learn's ``f1_score(average="macro", zero_division=0)`` over all classes, ``matthews_corrcoef`` and
    ``accuracy_score``, but for thousands of matrices at once. A class without members and without guesses has F1 0.
    """
    matrix = np.asarray(matrix, float)
    total, right = matrix.sum((-2, -1)), np.trace(matrix, axis1=-2, axis2=-1)
    true, guessed = matrix.sum(-1), matrix.sum(-2)
    f1 = 2 * np.diagonal(matrix, axis1=-2, axis2=-1) / np.maximum(true + guessed, 1)
    spread = np.sqrt((total**2 - (true**2).sum(-1)) * (total**2 - (guessed**2).sum(-1)))
    mcc = (right * total - (true * guessed).sum(-1)) / np.where(spread > 0, spread, 1)
    return {"macro_f1": f1.mean(-1), "mcc": mcc, "q3": right / np.maximum(total, 1)}


def redraw(matrices, n_boot=1000, seed=0):
    """Confusion matrices of bootstrap samples, [n_boot, classes, classes], from one matrix per unit, [units, classes, classes].

    A drawn sample's matrix is the sum of its members'. The same seed draws the same units: what two models score on the same
    draws can be subtracted, draw by draw.
    """
    generator, units = np.random.default_rng(seed), len(matrices)
    flat = matrices.reshape(units, -1)
    drawn = [np.bincount(generator.integers(0, units, units), minlength=units) @ flat for _ in range(n_boot)]
    return np.reshape(drawn, (n_boot, *matrices.shape[1:]))


def interval(draws, level=0.95):
    """The percentile interval (low, high) of bootstrap draws; draws without a value (nan) do not count, and alone give nan."""
    if np.isnan(draws).all():
        return float("nan"), float("nan")
    return tuple(map(float, np.nanquantile(draws, [(1 - level) / 2, (1 + level) / 2])))


def scores(true, predicted, classes, n_boot=1000, seed=0, level=0.95):
    """Macro-F1, Matthews correlation and accuracy (Q3, where the classes are helix, strand and other) with intervals.

    Parameters
    ----------
    true, predicted : int array [N], or lists of int arrays [L]
        One label per protein, or per residue of each protein. Positions with -100 in ``true`` do not count.
    classes : int
    n_boot, seed, level
        As in :func:`bootstrap_ci`. Rows are drawn, or whole proteins where ``true`` is a list of arrays, since the residues of
        a protein resemble each other.

    Returns
    -------
    dict
        "macro_f1", "mcc", "q3" -> (value, low, high). A class that nobody has and nobody predicts has F1 0.

    Raises
    ------
    ValueError
        If the lengths differ, nothing is left to score, or a label is no class.
    """
    matrices = confusions(true, predicted, classes)
    values, draws = from_confusion(matrices.sum(0)), from_confusion(redraw(matrices, n_boot, seed))
    return {name: (float(values[name]), *interval(draws[name], level)) for name in values}


def recalls(true, predicted, classes, n_boot=1000, seed=0, level=0.95):
    """Share of each class's members that are found: a list with (value, low, high) per class. Arguments as in :func:`scores`."""
    def recall(matrix):
        members = matrix.sum(-1)
        return np.where(members > 0, np.diagonal(matrix, axis1=-2, axis2=-1) / np.maximum(members, 1), np.nan)

    matrices = confusions(true, predicted, classes)
    values, draws = recall(matrices.sum(0)), recall(redraw(matrices, n_boot, seed))
    return [(float(values[k]), *interval(draws[:, k], level)) for k in range(classes)]


def compare(true, predictions, classes, baseline, metric="macro_f1", n_boot=1000, seed=0, level=0.95):
    """Models side by side on the same test proteins: score, and difference from a baseline, each with its interval.

    Parameters
    ----------
    true
        As in :func:`scores`.
    predictions : dict from name to list
        For each model its predictions, once per training seed.
    classes : int
    baseline : str
        One of the names: what the others are compared with.
    metric : str
        "macro_f1", "mcc" or "q3".
    n_boot, seed, level
        As in :func:`bootstrap_ci`. A draw takes test proteins (the same for all models) and training seeds.

    Returns
    -------
    pandas.DataFrame
        A row per name: score (mean over seeds), low, high, seeds, difference, difference_low, difference_high. An order of two
        models is supported where the interval of their difference does not contain 0.
    """
    if baseline not in predictions:
        raise ValueError(f"the baseline {baseline!r} is not among the models: {', '.join(predictions)}")
    values, draws, generator = {}, {}, np.random.default_rng(seed)
    for name, runs in predictions.items():
        matrices = [confusions(true, predicted, classes) for predicted in runs]
        values[name] = np.mean([from_confusion(own.sum(0))[metric] for own in matrices])
        drawn = np.array([from_confusion(redraw(own, n_boot, seed))[metric] for own in matrices])  # [seeds, n_boot]
        chosen = generator.integers(0, len(runs), drawn.shape)
        draws[name] = np.take_along_axis(drawn, chosen, axis=0).mean(0)
    rows = {}
    for name, runs in predictions.items():
        low, high = interval(draws[name], level)
        below, above = interval(draws[name] - draws[baseline], level)
        rows[name] = dict(score=values[name], low=low, high=high, seeds=len(runs), difference=values[name] - values[baseline],
                          difference_low=below, difference_high=above)
    return pd.DataFrame.from_dict(rows, orient="index")
