"""One look for all figures: colour-blind safe, text as large as the notebook's, on white in light and dark mode."""
import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns

from plmcourse.sequences import RESIDUES, TOKENS

# rows of a mutation map: residues of similar chemistry side by side
BY_CHEMISTRY = "GAVLIMPFYWSTCNQDEHKR"
GREY = "#8a8a8a"


def use_course_style():
    """Set seaborn's theme as all notebooks use it; each notebook calls this once in its set-up cell."""
    sns.set_theme(context="notebook", style="ticks", palette="colorblind", rc={
        "figure.figsize": (7.5, 4), "figure.dpi": 96, "figure.facecolor": "white", "axes.facecolor": "white",
        "axes.spines.top": False, "axes.spines.right": False, "axes.titlesize": 12, "axes.labelsize": 11.5,
        "xtick.labelsize": 10.5, "ytick.labelsize": 10.5, "legend.fontsize": 10.5, "legend.frameon": False,
        "figure.constrained_layout.use": True, "image.cmap": "cividis"})


def token_strip(tokens, marked=None):
    """Draw a batch as the model sees it: one box per token, residues in colour, special tokens and padding in grey.

    Parameters
    ----------
    tokens : LongTensor or nested list, shape [sequences, tokens]
    marked : set of (row, column), optional
        Boxes to frame.

    Returns
    -------
    matplotlib.axes.Axes
    """
    rows = [list(map(int, row)) for row in tokens]
    width = max(map(len, rows))
    size = min(0.62, 11 / width)
    _, ax = plt.subplots(figsize=(size * width + 0.3, 0.5 * len(rows) + 0.3))
    blue, grey = sns.set_hls_values(sns.color_palette("colorblind")[0], l=0.82), "#dedede"
    for y, row in enumerate(rows):
        for x, token in enumerate(row):
            residue = 4 <= token <= 28
            edge, line, layer = ("#c03000", 2.5, 3) if (y, x) in (marked or ()) else ("white", 1, 2)
            ax.add_patch(plt.Rectangle((x, y), 1, 1, facecolor=blue if residue else grey, edgecolor=edge, linewidth=line, zorder=layer))
            ax.text(x + 0.5, y + 0.5, TOKENS[token], ha="center", va="center", fontsize=11 if residue else 8.5, zorder=4)
    ax.set(xlim=(-0.05, width + 0.05), ylim=(len(rows) + 0.05, -0.05))  # room for the frame at the edge
    ax.axis("off")
    return ax


def mutation_map(table, sequence, first=1, label="log p(mutant) − log p(wild type)", ax=None):
    """Heat map of all single substitutions: positions along x, mutants along y, a dot where the wild type stands.

    Parameters
    ----------
    table : array-like, shape [L, 20]
        Columns in the order of ``RESIDUES``; nan is left white.
    sequence : str
    first : int
        Number of the first residue.
    label : str
        What the colour means, with its unit.
    ax : Axes, optional

    Returns
    -------
    matplotlib.axes.Axes
    """
    table = np.asarray(table, float)[:, [RESIDUES.index(letter) for letter in BY_CHEMISTRY]].T
    if ax is None:
        _, ax = plt.subplots(figsize=(10, 4.2))
    limit = np.nanquantile(np.abs(table), 0.98)
    extent = (first - 0.5, first + len(sequence) - 0.5, 19.5, -0.5)
    drawn = ax.imshow(table, cmap="RdBu", vmin=-limit, vmax=limit, aspect="auto", extent=extent, interpolation="nearest")
    wild = [BY_CHEMISTRY.index(letter) for letter in sequence]
    ax.scatter(np.arange(len(sequence)) + first, wild, s=4, color="black", linewidths=0)
    ax.set_yticks(range(20), BY_CHEMISTRY, fontsize=9, family="monospace")
    ax.set(xlabel="position", ylabel="mutant")
    ax.figure.colorbar(drawn, ax=ax, label=label, pad=0.01, extend="both")
    return ax


def intervals(rows, xlabel, reference=None, ax=None):
    """Values with their intervals, one line each: what to compare down a list.

    Parameters
    ----------
    rows : dict from name to (value, low, high)
        Drawn from top to bottom; names that begin with "baseline" are grey.
    xlabel : str
    reference : float, optional
        Where a dashed line marks "nothing learned".
    ax : Axes, optional

    Returns
    -------
    matplotlib.axes.Axes
    """
    if ax is None:
        _, ax = plt.subplots(figsize=(7.5, 0.42 * len(rows) + 1))
    colour = sns.color_palette("colorblind")[0]
    for y, (name, (value, low, high)) in enumerate(rows.items()):
        shade = GREY if name.startswith("baseline") else colour
        ax.plot([low, high], [y, y], color=shade, linewidth=2.5, solid_capstyle="butt")
        ax.plot(value, y, "o", color=shade, markersize=7)
    if reference is not None:
        ax.axvline(reference, color="#404040", linestyle="--", linewidth=1)
    ax.set_yticks(range(len(rows)), rows)
    ax.set(xlabel=xlabel, ylim=(len(rows) - 0.5, -0.5))
    return ax
