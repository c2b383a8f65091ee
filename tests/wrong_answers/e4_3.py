"""Exercise 4.3, spearman_ci."""
import random

import numpy as np
from scipy.stats import kendalltau, pearsonr, rankdata, spearmanr


def wrong_spearman_ci__pearson(x, y, n_boot=1000, seed=0, level=0.95):
    """Pearson's correlation of the values, no ranks.

    message: This is Pearson's correlation of the values
    """
    x, y, rng = np.asarray(x), np.asarray(y), np.random.default_rng(seed)
    draws = []
    for _ in range(n_boot):
        rows = rng.integers(0, len(x), len(x))
        draws.append(pearsonr(x[rows], y[rows])[0])
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return pearsonr(x, y)[0], low, high


def wrong_spearman_ci__pearson_interval(x, y, n_boot=1000, seed=0, level=0.95):
    """rho is right, but the interval is Pearson's.

    message: that of Pearson's correlation
    """
    x, y, rng = np.asarray(x), np.asarray(y), np.random.default_rng(seed)
    draws = []
    for _ in range(n_boot):
        rows = rng.integers(0, len(x), len(x))
        draws.append(np.corrcoef(x[rows], y[rows])[0, 1])
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return spearmanr(x, y)[0], low, high


def wrong_spearman_ci__kendall(x, y, n_boot=1000, seed=0, level=0.95):
    """Kendall's tau.

    message: Kendall's tau
    """
    x, y, rng = np.asarray(x), np.asarray(y), np.random.default_rng(seed)
    draws = []
    for _ in range(n_boot):
        rows = rng.integers(0, len(x), len(x))
        draws.append(kendalltau(x[rows], y[rows])[0])
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return kendalltau(x, y)[0], low, high


def wrong_spearman_ci__argsort_once(x, y, n_boot=1000, seed=0, level=0.95):
    """argsort gives the order, not the ranks.

    message: np.argsort gives the order, not the ranks
    """
    def rho(x, y):
        return np.corrcoef(np.argsort(x), np.argsort(y))[0, 1]

    x, y, rng = np.asarray(x), np.asarray(y), np.random.default_rng(seed)
    draws = []
    for _ in range(n_boot):
        rows = rng.integers(0, len(x), len(x))
        draws.append(rho(x[rows], y[rows]))
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return rho(x, y), low, high


def wrong_spearman_ci__ties_by_order(x, y, n_boot=1000, seed=0, level=0.95):
    """argsort of argsort: ties get different ranks.

    message: Equal values get different ranks
    """
    def rho(x, y):
        return np.corrcoef(np.argsort(np.argsort(x)), np.argsort(np.argsort(y)))[0, 1]

    x, y, rng = np.asarray(x), np.asarray(y), np.random.default_rng(seed)
    draws = []
    for _ in range(n_boot):
        rows = rng.integers(0, len(x), len(x))
        draws.append(rho(x[rows], y[rows]))
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return rho(x, y), low, high


def wrong_spearman_ci__lowest_rank_for_ties(x, y, n_boot=1000, seed=0, level=0.95):
    """Ties get the lowest rank of their group.

    message: rho is wrong where values are tied
    """
    def rho(x, y):
        return np.corrcoef(rankdata(x, "min"), rankdata(y, "min"))[0, 1]

    x, y, rng = np.asarray(x), np.asarray(y), np.random.default_rng(seed)
    draws = []
    for _ in range(n_boot):
        rows = rng.integers(0, len(x), len(x))
        draws.append(rho(x[rows], y[rows]))
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return rho(x, y), low, high


def wrong_spearman_ci__textbook_formula(x, y, n_boot=1000, seed=0, level=0.95):
    """1 - 6 sum d² / n(n² - 1) holds without ties only, and a bootstrap sample has ties.

    message: rho is wrong where values are tied
    """
    def rho(x, y):
        d, n = rankdata(x) - rankdata(y), len(x)
        return 1 - 6 * (d ** 2).sum() / (n * (n ** 2 - 1))

    x, y, rng = np.asarray(x), np.asarray(y), np.random.default_rng(seed)
    draws = []
    for _ in range(n_boot):
        rows = rng.integers(0, len(x), len(x))
        draws.append(rho(x[rows], y[rows]))
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return rho(x, y), low, high


def wrong_spearman_ci__drawn_separately(x, y, n_boot=1000, seed=0, level=0.95):
    """x and y are drawn independently, which tears the pairs apart.

    message: Were x and y drawn separately?
    """
    x, y, rng = np.asarray(x), np.asarray(y), np.random.default_rng(seed)
    draws = [spearmanr(rng.choice(x, len(x)), rng.choice(y, len(y)))[0] for _ in range(n_boot)]
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return spearmanr(x, y)[0], low, high


def wrong_spearman_ci__one_sided(x, y, n_boot=1000, seed=0, level=0.95):
    """The whole remainder is cut off below: quantiles 1 - level and 1.

    message: drawing 60 pairs with replacement gives about
    """
    x, y, rng = np.asarray(x), np.asarray(y), np.random.default_rng(seed)
    draws = []
    for _ in range(n_boot):
        rows = rng.integers(0, len(x), len(x))
        draws.append(spearmanr(x[rows], y[rows])[0])
    return spearmanr(x, y)[0], np.quantile(draws, 1 - level), max(draws)


def wrong_spearman_ci__remainder_on_both_sides(x, y, n_boot=1000, seed=0, level=0.95):
    """Quantiles 1 - level and level: a 90 % interval is called 95 %.

    message: For level=0.5
    """
    x, y, rng = np.asarray(x), np.asarray(y), np.random.default_rng(seed)
    draws = []
    for _ in range(n_boot):
        rows = rng.integers(0, len(x), len(x))
        draws.append(spearmanr(x[rows], y[rows])[0])
    low, high = np.quantile(draws, [1 - level, level])
    return spearmanr(x, y)[0], low, high


def wrong_spearman_ci__percent(x, y, n_boot=1000, seed=0, level=0.95):
    """np.percentile wants 2.5 and 97.5, not 0.025 and 0.975.

    message: np.percentile wants 2.5 and 97.5
    """
    x, y, rng = np.asarray(x), np.asarray(y), np.random.default_rng(seed)
    draws = []
    for _ in range(n_boot):
        rows = rng.integers(0, len(x), len(x))
        draws.append(spearmanr(x[rows], y[rows])[0])
    low, high = np.percentile(draws, [(1 - level) / 2, (1 + level) / 2])
    return spearmanr(x, y)[0], low, high


def wrong_spearman_ci__always_95(x, y, n_boot=1000, seed=0, level=0.95):
    """`level` does nothing.

    message: For level=0.5
    """
    x, y, rng = np.asarray(x), np.asarray(y), np.random.default_rng(seed)
    draws = []
    for _ in range(n_boot):
        rows = rng.integers(0, len(x), len(x))
        draws.append(spearmanr(x[rows], y[rows])[0])
    low, high = np.percentile(draws, [2.5, 97.5])
    return spearmanr(x, y)[0], low, high


def wrong_spearman_ci__normal(x, y, n_boot=1000, seed=0, level=0.95):
    """rho ± 1.96 standard deviations of the draws: another interval, and `level` does nothing.

    message: runs beyond 1
    """
    x, y, rng = np.asarray(x), np.asarray(y), np.random.default_rng(seed)
    draws = []
    for _ in range(n_boot):
        rows = rng.integers(0, len(x), len(x))
        draws.append(spearmanr(x[rows], y[rows])[0])
    rho = spearmanr(x, y)[0]
    return rho, rho - 1.96 * np.std(draws), rho + 1.96 * np.std(draws)


def wrong_spearman_ci__normal_with_level(x, y, n_boot=1000, seed=0, level=0.95):
    """A normal interval around rho instead of percentiles: it may run beyond 1.

    message: runs beyond 1
    """
    from scipy.stats import norm

    x, y, rng = np.asarray(x), np.asarray(y), np.random.default_rng(seed)
    draws = []
    for _ in range(n_boot):
        rows = rng.integers(0, len(x), len(x))
        draws.append(spearmanr(x[rows], y[rows])[0])
    rho, half = spearmanr(x, y)[0], norm.ppf((1 + level) / 2) * np.std(draws)
    return rho, rho - half, rho + half


def wrong_spearman_ci__standard_error(x, y, n_boot=1000, seed=0, level=0.95):
    """Divides the spread of the draws by sqrt(n_boot): more draws, narrower interval.

    message: drawing 60 pairs with replacement gives about
    """
    x, y, rng = np.asarray(x), np.asarray(y), np.random.default_rng(seed)
    draws = []
    for _ in range(n_boot):
        rows = rng.integers(0, len(x), len(x))
        draws.append(spearmanr(x[rows], y[rows])[0])
    rho, half = spearmanr(x, y)[0], 1.96 * np.std(draws) / np.sqrt(n_boot)
    return rho, rho - half, rho + half


def wrong_spearman_ci__fisher(x, y, n_boot=1000, seed=0, level=0.95):
    """Fisher's formula, no bootstrap at all.

    message: the seed is not used
    """
    from scipy.stats import norm

    rho = spearmanr(x, y)[0]
    half = norm.ppf((1 + level) / 2) / np.sqrt(len(x) - 3)
    return rho, np.tanh(np.arctanh(rho) - half), np.tanh(np.arctanh(rho) + half)


def wrong_spearman_ci__basic(x, y, n_boot=1000, seed=0, level=0.95):
    """The percentile interval mirrored at rho ("basic" bootstrap).

    message: drawing 60 pairs with replacement gives about
    """
    x, y, rng = np.asarray(x), np.asarray(y), np.random.default_rng(seed)
    draws = []
    for _ in range(n_boot):
        rows = rng.integers(0, len(x), len(x))
        draws.append(spearmanr(x[rows], y[rows])[0])
    rho = spearmanr(x, y)[0]
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return rho, 2 * rho - high, 2 * rho - low


def wrong_spearman_ci__minimum_and_maximum(x, y, n_boot=1000, seed=0, level=0.95):
    """The smallest and the largest draw.

    message: drawing 60 pairs with replacement gives about
    """
    x, y, rng = np.asarray(x), np.asarray(y), np.random.default_rng(seed)
    draws = []
    for _ in range(n_boot):
        rows = rng.integers(0, len(x), len(x))
        draws.append(spearmanr(x[rows], y[rows])[0])
    return spearmanr(x, y)[0], min(draws), max(draws)


def wrong_spearman_ci__without_replacement(x, y, n_boot=1000, seed=0, level=0.95):
    """Draws without replacement: every draw is the whole sample.

    message: all draws are the same
    """
    x, y, rng = np.asarray(x), np.asarray(y), np.random.default_rng(seed)
    draws = []
    for _ in range(n_boot):
        rows = rng.permutation(len(x))
        draws.append(spearmanr(x[rows], y[rows])[0])
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return spearmanr(x, y)[0], low, high


def wrong_spearman_ci__half_the_pairs(x, y, n_boot=1000, seed=0, level=0.95):
    """Draws half as many pairs as there are: too wide.

    message: drawing 60 pairs with replacement gives about
    """
    x, y, rng = np.asarray(x), np.asarray(y), np.random.default_rng(seed)
    draws = []
    for _ in range(n_boot):
        rows = rng.integers(0, len(x), len(x) // 2)
        draws.append(spearmanr(x[rows], y[rows])[0])
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return spearmanr(x, y)[0], low, high


def wrong_spearman_ci__global_seed(x, y, n_boot=1000, seed=0, level=0.95):
    """np.random.seed changes the random state of the whole notebook.

    message: The global random state has changed
    """
    np.random.seed(seed)
    x, y = np.asarray(x), np.asarray(y)
    draws = []
    for _ in range(n_boot):
        rows = np.random.randint(0, len(x), len(x))
        draws.append(spearmanr(x[rows], y[rows])[0])
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return spearmanr(x, y)[0], low, high


def wrong_spearman_ci__no_seed(x, y, n_boot=1000, seed=0, level=0.95):
    """Another interval at every call.

    message: Two calls with the same seed
    """
    x, y, rng = np.asarray(x), np.asarray(y), np.random.default_rng()
    draws = []
    for _ in range(n_boot):
        rows = rng.integers(0, len(x), len(x))
        draws.append(spearmanr(x[rows], y[rows])[0])
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return spearmanr(x, y)[0], low, high


def wrong_spearman_ci__zero_is_no_seed(x, y, n_boot=1000, seed=0, level=0.95):
    """`seed or None`: another interval at every call when the seed is 0.

    message: Two calls with the same seed
    """
    x, y, rng = np.asarray(x), np.asarray(y), np.random.default_rng(seed or None)
    draws = []
    for _ in range(n_boot):
        rows = rng.integers(0, len(x), len(x))
        draws.append(spearmanr(x[rows], y[rows])[0])
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return spearmanr(x, y)[0], low, high


def wrong_spearman_ci__fixed_seed(x, y, n_boot=1000, seed=0, level=0.95):
    """Seed 0 whatever the caller says.

    message: the seed is not used
    """
    x, y, rng = np.asarray(x), np.asarray(y), np.random.default_rng(0)
    draws = []
    for _ in range(n_boot):
        rows = rng.integers(0, len(x), len(x))
        draws.append(spearmanr(x[rows], y[rows])[0])
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return spearmanr(x, y)[0], low, high


def wrong_spearman_ci__ignores_n_boot(x, y, n_boot=1000, seed=0, level=0.95):
    """Always a hundred draws.

    message: n_boot is not used
    """
    x, y, rng = np.asarray(x), np.asarray(y), np.random.default_rng(seed)
    draws = []
    for _ in range(100):
        rows = rng.integers(0, len(x), len(x))
        draws.append(spearmanr(x[rows], y[rows])[0])
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return spearmanr(x, y)[0], low, high


def wrong_spearman_ci__generator_in_the_loop(x, y, n_boot=1000, seed=0, level=0.95):
    """A new generator with the same seed at each draw: all draws are the same.

    message: all draws are the same
    """
    x, y = np.asarray(x), np.asarray(y)
    draws = []
    for _ in range(n_boot):
        rows = np.random.default_rng(seed).integers(0, len(x), len(x))
        draws.append(spearmanr(x[rows], y[rows])[0])
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return spearmanr(x, y)[0], low, high


def wrong_spearman_ci__last_pair_never_drawn(x, y, n_boot=1000, seed=0, level=0.95):
    """integers(0, n - 1) never draws the last pair, which NumPy's exclusive end does already look after.

    message: The last pair is never drawn
    """
    x, y, rng = np.asarray(x), np.asarray(y), np.random.default_rng(seed)
    draws = []
    for _ in range(n_boot):
        rows = rng.integers(0, len(x) - 1, len(x))
        draws.append(spearmanr(x[rows], y[rows])[0])
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return spearmanr(x, y)[0], low, high


def wrong_spearman_ci__mean_of_draws(x, y, n_boot=1000, seed=0, level=0.95):
    """rho is the mean of the draws, not that of the data.

    message: is it the mean of the draws?
    """
    x, y, rng = np.asarray(x), np.asarray(y), np.random.default_rng(seed)
    draws = []
    for _ in range(n_boot):
        rows = rng.integers(0, len(x), len(x))
        draws.append(spearmanr(x[rows], y[rows])[0])
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return np.mean(draws), low, high


def wrong_spearman_ci__absolute(x, y, n_boot=1000, seed=0, level=0.95):
    """The absolute value: a negative correlation looks positive.

    message: take no absolute value
    """
    x, y, rng = np.asarray(x), np.asarray(y), np.random.default_rng(seed)
    draws = []
    for _ in range(n_boot):
        rows = rng.integers(0, len(x), len(x))
        draws.append(abs(spearmanr(x[rows], y[rows])[0]))
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return abs(spearmanr(x, y)[0]), low, high


def wrong_spearman_ci__p_value(x, y, n_boot=1000, seed=0, level=0.95):
    """Returns the p-value where rho belongs.

    message: This is the p-value
    """
    x, y, rng = np.asarray(x), np.asarray(y), np.random.default_rng(seed)
    draws = []
    for _ in range(n_boot):
        rows = rng.integers(0, len(x), len(x))
        draws.append(spearmanr(x[rows], y[rows])[0])
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return spearmanr(x, y)[1], low, high


def wrong_spearman_ci__order_of_results(x, y, n_boot=1000, seed=0, level=0.95):
    """Returns (low, rho, high).

    message: The second number is rho
    """
    x, y, rng = np.asarray(x), np.asarray(y), np.random.default_rng(seed)
    draws = []
    for _ in range(n_boot):
        rows = rng.integers(0, len(x), len(x))
        draws.append(spearmanr(x[rows], y[rows])[0])
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return low, spearmanr(x, y)[0], high


def wrong_spearman_ci__high_before_low(x, y, n_boot=1000, seed=0, level=0.95):
    """Returns (rho, high, low).

    message: low and high are exchanged
    """
    x, y, rng = np.asarray(x), np.asarray(y), np.random.default_rng(seed)
    draws = []
    for _ in range(n_boot):
        rows = rng.integers(0, len(x), len(x))
        draws.append(spearmanr(x[rows], y[rows])[0])
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return spearmanr(x, y)[0], high, low


def wrong_spearman_ci__nested(x, y, n_boot=1000, seed=0, level=0.95):
    """Returns (rho, (low, high)).

    message: should return three numbers: (rho, low, high)
    """
    x, y, rng = np.asarray(x), np.asarray(y), np.random.default_rng(seed)
    draws = []
    for _ in range(n_boot):
        rows = rng.integers(0, len(x), len(x))
        draws.append(spearmanr(x[rows], y[rows])[0])
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return spearmanr(x, y)[0], (low, high)


def wrong_spearman_ci__only_rho(x, y, n_boot=1000, seed=0, level=0.95):
    """No interval at all.

    message: should return three numbers: (rho, low, high)
    """
    return spearmanr(x, y)[0]


def wrong_spearman_ci__sorts_the_input(x, y, n_boot=1000, seed=0, level=0.95):
    """Sorts the caller's y in place, and tears the pairs apart.

    message: changes its input: argument 2
    """
    y.sort()
    x, y, rng = np.asarray(x), np.asarray(y), np.random.default_rng(seed)
    draws = []
    for _ in range(n_boot):
        rows = rng.integers(0, len(x), len(x))
        draws.append(spearmanr(x[rows], y[rows])[0])
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return spearmanr(x, y)[0], low, high


def wrong_spearman_ci__ranks_written_back(x, y, n_boot=1000, seed=0, level=0.95):
    """The numbers are right, but the caller's arrays hold ranks afterwards.

    message: changes its input: argument 1
    """
    first = spearmanr(x, y)[0]
    a, b, rng = np.array(x, float), np.array(y, float), np.random.default_rng(seed)
    draws = []
    for _ in range(n_boot):
        rows = rng.integers(0, len(a), len(a))
        draws.append(spearmanr(a[rows], b[rows])[0])
    x[:], y[:] = rankdata(a), rankdata(b)
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return first, low, high


def wrong_spearman_ci__nothing(x, y, n_boot=1000, seed=0, level=0.95):
    """Prints the result and returns nothing.

    message: is the line with 'return' missing?
    """
    print(spearmanr(x, y)[0])


def right_spearman_ci__loop(x, y, n_boot=1000, seed=0, level=0.95):
    x, y, rng = np.asarray(x), np.asarray(y), np.random.default_rng(seed)
    draws = []
    for _ in range(n_boot):
        rows = rng.integers(0, len(x), len(x))
        draws.append(spearmanr(x[rows], y[rows])[0])
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return spearmanr(x, y)[0], low, high


def right_spearman_ci__vectorised(x, y, n_boot=1000, seed=0, level=0.95):
    x, y = np.asarray(x, float), np.asarray(y, float)
    rows = np.random.RandomState(seed).randint(0, len(x), (n_boot, len(x)))
    a, b = rankdata(x[rows], axis=1), rankdata(y[rows], axis=1)
    a, b = a - a.mean(1, keepdims=True), b - b.mean(1, keepdims=True)
    draws = (a * b).sum(1) / np.sqrt((a ** 2).sum(1) * (b ** 2).sum(1))
    low, high = np.nanpercentile(draws, [50 - 50 * level, 50 + 50 * level])
    return [float(np.corrcoef(rankdata(x), rankdata(y))[0, 1]), float(low), float(high)]


def right_spearman_ci__scipy_bootstrap(x, y, n_boot=1000, seed=0, level=0.95):
    from scipy.stats import bootstrap

    found = bootstrap((x, y), lambda a, b: spearmanr(a, b)[0], paired=True, vectorized=False, n_resamples=n_boot,
                      confidence_level=level, method="percentile", random_state=seed)
    return spearmanr(x, y)[0], found.confidence_interval.low, found.confidence_interval.high


def right_spearman_ci__pandas(x, y, n_boot=1000, seed=0, level=0.95):
    import pandas as pd

    pairs = pd.DataFrame({"x": np.asarray(x), "y": np.asarray(y)})
    rng = np.random.default_rng(seed)
    samples = (pairs.sample(len(pairs), replace=True, random_state=rng) for _ in range(n_boot))
    draws = pd.Series([sample.rank().corr().iloc[0, 1] for sample in samples])
    return pairs.rank().corr().iloc[0, 1], draws.quantile((1 - level) / 2), draws.quantile((1 + level) / 2)


def right_spearman_ci__plain_python(x, y, n_boot=1000, seed=0, level=0.95):
    def ranks(values):
        ordered = sorted(values)
        return [ordered.index(value) + (ordered.count(value) + 1) / 2 for value in values]

    def rho(pairs):
        a, b = ranks([p[0] for p in pairs]), ranks([p[1] for p in pairs])
        mean = sum(a) / len(a)
        cov = sum((i - mean) * (j - mean) for i, j in zip(a, b))
        spread = (sum((i - mean) ** 2 for i in a) * sum((j - mean) ** 2 for j in b)) ** 0.5
        return cov / spread if spread else float("nan")

    pairs, dice = list(zip([float(v) for v in x], [float(v) for v in y])), random.Random(seed)
    draws = [rho(dice.choices(pairs, k=len(pairs))) for _ in range(n_boot)]
    draws = sorted(draw for draw in draws if draw == draw)
    last = len(draws) - 1
    return rho(pairs), draws[round((1 - level) / 2 * last)], draws[round((1 + level) / 2 * last)]
