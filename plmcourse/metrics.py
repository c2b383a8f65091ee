"""Scores with confidence intervals. A number without an interval does not say whether it means anything."""
import numpy as np
from scipy.stats import rankdata


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
    # a draw may be degenerate (all its values equal): it has no statistic and does not count
    low, high = np.nanquantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return float(statistic(*samples)), float(low), float(high)


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
