# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 4 · Zero-shot mutations: reading fitness from probabilities
#
# A model that has learned to fill in masked residues has an opinion about every residue you could put there. If evolution has
# removed what does not work, that opinion should say something about what works, without a single measurement. This notebook
# takes the idea to five experiments, and counts how often it holds.
#
# **You will be able to**
#
# * score a substitution by its log-odds, with the numbering of the literature and without scoring the wrong protein;
# * compute all single mutants of a protein, and draw them;
# * compare scores with deep mutational scans, with baselines and intervals beside them;
# * say what a score means (a rank) and what it does not (good or bad);
# * test whether double mutants are the sum of their parts.
#
# **Before you start**: notebook 3, sections 1 and 2 (tokens, padding). The course follows a lecture on protein language models; boxes that
# begin "The lecture says" compare its statements with what the model does. **Time**: about 2½ hours with the exercises; the code itself
# runs in two to three minutes. **Difficulty**: ◆ to ◆◆.
#
# | word | means here |
# |---|---|
# | wild type, mutant | the residue that stands in the natural sequence, and the one put in its place; "M69L" turns M at 69 into L |
# | masked | replaced by the token `<mask>`, so that the model has to guess |
# | log-odds | difference of two log-probabilities, in nats (natural logarithm) |
# | perplexity | among how many equally likely residues the model seems to choose; 20 is pure guessing (t-SNE's "perplexity" is another thing) |
# | Spearman's ρ | correlation of ranks: 1 the same order, 0 none, −1 reversed |

# %%
import importlib.util
import subprocess
import sys

if importlib.util.find_spec("plmcourse") is None:  # on Colab; a local installation has it already
    subprocess.check_call([sys.executable, "-m", "pip", "install", "--quiet", "{{install}}"])

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import psutil
import seaborn as sns
import torch
from tqdm.auto import tqdm

import plmcourse as pc

pc.plots.use_course_style()
plm = pc.load()
print(f"{psutil.virtual_memory().available / 1e9:.0f} GB of memory free · PyTorch {torch.__version__.split('+')[0]}")

# %% [markdown]
# The line above says which weights you have. How well zero-shot scoring works depends strongly on that, so no figure is written into the
# text below: the cells compute them for your model. `PLMCOURSE_MODEL=650M` gives a larger one.

# %% [markdown]
# ## 1. One masked position
#
# TEM-1 β-lactamase cuts penicillins. Serine 70 does the cutting. Mask it, and ask the model what belongs there; then ask the same where its
# relatives differ most. As a second opinion, the **profile**: how often each residue occurs there among near and far relatives of TEM-1, counted
# in an alignment.

# %%
wild_types = pc.datasets.load("wild_types")
tem1 = wild_types["tem1"]
FIRST = 26  # the literature numbers TEM-1 in the scheme of Ambler, where the mature protein begins with residue 26
MASK = 32

chains = {chain["id"]: chain for chain in pc.datasets.chains("chains_test")}
profile = chains["1M40_A"]["profile"].astype(float)
profile = profile / profile.sum(1, keepdims=True)
entropy = -(profile * np.log2(profile, where=profile > 0, out=np.zeros_like(profile))).sum(1)
unbroken = 238 - FIRST  # up to 238 the literature numbers without gaps
freest = int(entropy[:unbroken].argmax()) + FIRST
print(f"the most variable position up to 238 is {freest}: {entropy[freest - FIRST]:.1f} bits of entropy; "
      f"serine 70 has {entropy[70 - FIRST]:.1f}, 20 equally frequent residues would have {np.log2(20):.1f}")


def masked_probabilities(position):
    """Probabilities of the 20 residues at one position of TEM-1 (literature numbering), that position masked."""
    tokens = plm.tokenize([tem1])
    place = position - FIRST + 1  # from 0, and <cls> comes first
    tokens[0, place] = MASK
    return plm.forward(tokens).logits[0, place].softmax(-1)[4:24].cpu().numpy()


# %% alt="Two bar charts of the probabilities of the 20 residues at the catalytic position 70 and at the most variable position of TEM-1: the model's in blue, the frequencies among homologs in orange."
fig, axes = plt.subplots(2, 1, figsize=(9, 4.6), sharex=True, sharey=True)
for ax, position in zip(axes, (70, freest)):
    wild = tem1[position - FIRST]
    values = pd.DataFrame({"model, position masked": masked_probabilities(position),
                           "profile of homologs": profile[position - FIRST]}, index=list(pc.RESIDUES))
    values.plot.bar(ax=ax, width=0.8, legend=position == 70, rot=0)
    ax.set(ylabel="probability", title=f"position {position}, wild type {wild}")
axes[1].set_xlabel("residue");

# %% [markdown]
# *Where the two agree, the model has learned what this family looks like. Where the model's bars look the same at both positions, it only knows
# which residues are frequent in proteins at large.*

# %% [markdown]
# ### From probabilities to a score
#
# The score of a substitution compares two probabilities at the same masked position:
#
# $$s(\text{M69L}) = \log p(\text{L at 69} \mid \text{rest}) - \log p(\text{M at 69} \mid \text{rest})$$
#
# Three traps wait on the way. The literature counts from some number of its own, Python from 0, and tokens have `<cls>` in front.
#
# ### Exercise 4.1 · Score a mutation · ◆◆ · 20 minutes
#
# Two functions: one reads "M69L", the other scores it. Both are strict. A score for the wrong residue looks exactly like a score for the right
# one, so nobody would ever notice.


# %%
def parse_mutation(text):
    """Split a mutation such as "M69L" into its parts.

    Parameters
    ----------
    text : str
        One capital letter of the 20 standard residues, a number from 1 without leading zeros, another such letter.

    Returns
    -------
    (str, int, str)
        Wild type, position, mutant: ("M", 69, "L").

    Raises
    ------
    ValueError
        For anything else.
    """
    ### BEGIN SOLUTION
    wild, number, mutant = text[:1], text[1:-1], text[-1:]
    is_number = number.isascii() and number.isdigit() and number[0] != "0"
    if not (len(text) > 2 and wild in pc.RESIDUES and mutant in pc.RESIDUES and is_number):
        raise ValueError(f"{text!r} is not a mutation such as 'M69L'")
    return wild, int(number), mutant
    ### END SOLUTION


def mutation_score(plm, sequence, mutation, first=1):
    """Log-odds of a substitution at its masked position.

    Parameters
    ----------
    plm : the loaded model
        ``plm.tokenize([sequence])`` gives ids [1, L + 2]; 32 is ``<mask>``; ``plm.forward(tokens).logits`` is [1, L + 2, 33].
    sequence : str
    mutation : str
        Such as "M69L".
    first : int
        Number that the literature gives the first residue of the sequence.

    Returns
    -------
    float
        log p(mutant) - log p(wild type), natural logarithm.

    Raises
    ------
    ValueError
        When the wild type is not what stands there, or the position lies outside the sequence.
    """
    ### BEGIN SOLUTION
    wild, position, mutant = parse_mutation(mutation)
    index = position - first
    if not 0 <= index < len(sequence):
        raise ValueError(f"{mutation}: the sequence runs from {first} to {first + len(sequence) - 1}")
    if sequence[index].upper() != wild:
        raise ValueError(f"{mutation}: position {position} is {sequence[index]}")
    tokens = plm.tokenize([sequence])
    tokens[0, index + 1] = 32
    log_probs = plm.forward(tokens).logits[0, index + 1].log_softmax(dim=-1)
    ids = pc.sequences.TOKEN_ID
    return (log_probs[ids[mutant]] - log_probs[ids[wild]]).item()
    ### END SOLUTION


# %%
parse_mutation, mutation_score = pc.check("4.1", parse_mutation, mutation_score)

# %% [markdown]
# A few real ones, and a few that must not get a score. Serine 70 is the residue that cuts: what does your model think of losing it (S70A)?

# %%
for mutation in ("M69L", "M69V", "S70A", "K69L", "M69B", "m69l", "M300L", "M2L", "M69"):
    try:
        print(f"{mutation:6} {mutation_score(plm, tem1, mutation, first=FIRST):+.2f}")
    except ValueError as error:
        print(f"{mutation:6} refused: {error}")

# %% [markdown]
# > **The lecture's function** takes the position and both letters, and never looks at what stands in the sequence. **The model** does not
# > mind. Here is a scorer of that kind, with Meta's own library, asked three things that make no sense:

# %%
fair_model, alphabet = pc.to_fair_esm(plm)


def careless_score(sequence, index, wild, mutant):
    """A scorer without checks: masks, runs, looks up two ids."""
    tokens = torch.tensor([alphabet.encode(f"<cls>{sequence}<eos>")])
    tokens[0, index + 1] = alphabet.mask_idx
    with torch.no_grad():
        log_probs = fair_model(tokens)["logits"][0, index + 1].log_softmax(-1)
    return (log_probs[alphabet.get_idx(mutant)] - log_probs[alphabet.get_idx(wild)]).item()


questions = {"M69L, right": (69 - FIRST, "M", "L"), f"W69L, though 69 is {tem1[69 - FIRST]}": (69 - FIRST, "W", "L"),
             "M69J, a residue J does not exist": (69 - FIRST, "M", "J"), f"{tem1[-1]}25L, before the first residue": (-1, tem1[-1], "L")}
for question, (index, wild, mutant) in questions.items():
    print(f"{question:35} {careless_score(tem1, index, wild, mutant):+.2f}")
print("J became", alphabet.get_tok(alphabet.get_idx("J")), "and index -1 fetched the last residue, while <cls> was masked")

# %% [markdown]
# Four numbers, one of them meaningful.

# %% [markdown]
# ## 2. All single mutants at once
#
# A protein of L residues has 19 · L single mutants, but they need only L masked copies: one run gives all twenty residues at a position.
#
# ### Exercise 4.2 · Masked marginals · ◆◆ · 20 minutes


# %%
def masked_marginals(plm, sequence):
    """Score of every single substitution.

    Parameters
    ----------
    plm : the loaded model
    sequence : str, length L

    Returns
    -------
    Tensor, shape [L, 20]
        log p(residue) - log p(wild type) at each position, that position masked and all others visible. Columns in the order of
        the ids 4 to 23 (``pc.RESIDUES``); 0 where the residue is the wild type.
    """
    ### BEGIN SOLUTION
    tokens = plm.tokenize([sequence])
    rows = []
    for place in range(1, len(sequence) + 1):
        copy = tokens.clone()
        copy[0, place] = 32
        log_probs = plm.forward(copy).logits[0, place].log_softmax(dim=-1)
        rows.append(log_probs[4:24] - log_probs[tokens[0, place]])
    return torch.stack(rows)
    ### END SOLUTION


# %%
masked_marginals = pc.check("4.2", masked_marginals)

# %% [markdown]
# The course's own version runs many masked copies in one batch, and the language-model head only at the masked positions. The answers are the
# same as yours:

# %%
gb1 = wild_types["gb1"]
mine = masked_marginals(plm, gb1)
batched = pc.masked_marginals(plm, gb1)
difference = (mine.cpu() - batched).abs().max().item()
print(f"GB1, {len(gb1)} residues: largest difference {difference:.5f}")
assert difference < 1e-3

# %% [markdown]
# There is a shortcut of one single pass, **wild-type marginals**: mask nothing, and read off what the model thinks of every residue
# while it sees the right answer. Is it as good?

# %%
masked = pc.masked_marginals(plm, tem1).numpy()
visible = pc.wild_type_marginals(plm, tem1).numpy()
mutants = np.array([[residue != wild for residue in pc.RESIDUES] for wild in tem1])
assert np.abs(masked[~mutants]).max() == 0  # no change, no score
print(f"passes through the model: {len(tem1)} against 1")
print(f"rank correlation of the two tables: {pc.metrics.spearman(masked[mutants], visible[mutants]):.2f}")
print(f"mean score of a mutant: masked {masked[mutants].mean():+.2f}, wild type visible {visible[mutants].mean():+.2f}")

# %% [markdown]
# Compare the two means. In training, one in ten of the positions to predict was shown unchanged, so copying what is visible pays: where the
# second mean lies lower, the model copies. Which of the two scores ranks better is for the experiment to say.
#
# Here is the whole protein.

# %% alt="Heat map of all single substitutions of TEM-1: 263 positions across, 20 mutants down, red for substitutions the model finds unlikely, blue for likely ones, with small black dots at the wild type."
pc.plots.mutation_map(masked, tem1, FIRST);

# %% [markdown]
# *Each column is a position, each row a mutant, the dots are the wild type. A red column: the model would rather keep what is there. A blue one: it
# prefers almost anything else. A row of one colour: the residue is common or rare everywhere.* (The axis counts on from 26; the literature's
# numbers skip 239 and 253, so beyond 238 they run ahead. The data carry both, as you will see.)
#
# Blue columns deserve suspicion. Are these positions free to change, or do rare letters stand there, which a model with little knowledge of the
# family finds unlikely anywhere?

# %%
column = masked.sum(1) / 19
bluest = np.argsort(-column)[:8]
print("most 'replaceable' positions:", ", ".join(f"{tem1[i]}{i + FIRST}" for i in bluest))
letters = pd.Series(column).groupby(list(tem1)).transform("mean")
print(f"share of the columns' variance that the wild-type letter alone explains: {letters.var() / column.var():.0%}")

# %% [markdown]
# Cysteines 77 and 123 form TEM-1's disulfide bridge. A model that calls them replaceable knows how rare cysteine is, not what it does here.

# %% [markdown]
# ### How much does the model know here?
#
# Compare each position's probabilities with the **background**, the share of each residue in Swiss-Prot. The distance between the two, in
# bits, says how far the model commits itself at a position; the perplexity says whether it is right to. The profile of homologs gives a mark.

# %%
background = np.array([sum(s.count(r) for s in pc.datasets.load("pretrain_train").values()) for r in pc.RESIDUES], float)
background /= background.sum()
model_table = torch.tensor(masked).softmax(1).numpy()  # log-odds within a row are log-probabilities up to a constant


def bits(p, q):
    """Kullback-Leibler divergence in bits, averaged over positions."""
    return float(np.mean(np.sum(p * np.log2(np.maximum(p, 1e-9) / q), axis=-1)))


own = model_table[np.arange(len(tem1)), [pc.RESIDUES.index(r) for r in tem1]]
guess = background[[pc.RESIDUES.index(r) for r in tem1]]
print(f"bits per position beyond the background: model {bits(model_table, background):.2f}, "
      f"profile {bits(profile, background):.2f}")
print(f"perplexity of TEM-1, each residue masked in turn: model {np.exp(-np.log(own).mean()):.1f}, "
      f"background {np.exp(-np.log(guess).mean()):.1f}")

# %% [markdown]
# A model near 0 bits and near the background's perplexity knows little about this protein, whatever its scores look like on the heat map. That can be
# said before any experiment enters.

# %% [markdown]
# ## 3. What the experiment says
#
# In a **deep mutational scan** a library of all single mutants competes, and sequencing counts who is left. Stiffler and colleagues did it for
# TEM-1 under ampicillin.

# %%
scan = pc.datasets.load("tem1")
print(pc.datasets.info("tem1")["citation"])
print(pc.datasets.info("tem1")["score"])
scan["masked marginal"] = pc.additive_scores(masked, tem1, scan["mutation"])
scan["wild-type marginal"] = pc.additive_scores(visible, tem1, scan["mutation"])
scan.head(3)

# %% [markdown]
# ### Is a positive score a good mutation?
#
# > **The lecture says** that positive means tolerated and negative means deleterious. Look at where the scores lie.

# %% alt="Two histograms of masked-marginal scores of TEM-1 mutants, one for mutants that grow like the wild type and one for those that do not, with a dashed line at zero."
near_neutral = scan["score"] > -0.1  # the two replicates of such mutants differ by about as much, see below
fig, ax = plt.subplots(figsize=(7.5, 3.4))
drawn = scan.assign(experiment=np.where(near_neutral, "grows like the wild type", "grows worse"))
sns.histplot(data=drawn, x="masked marginal", hue="experiment", stat="density", common_norm=False, bins=50, element="step", ax=ax)
ax.axvline(0, color="#404040", linestyle="--")
ax.set(xlabel="masked marginal, log p(mutant) − log p(wild type)");

# %%
below = scan["masked marginal"] < 0
noise = (scan["replicate_1"] - scan["replicate_2"])[near_neutral].std()
print(f"{near_neutral.mean():.0%} of the {len(scan):,} mutants grow like the wild type "
      f"(score above -0.1; their replicates differ with an SD of {noise:.2f})")
print(f"below zero lie {below.mean():.0%} of all mutants, and {below[near_neutral].mean():.0%} of those that grow like the wild type")

# %% [markdown]
# *If the lecture were right, the first group would lie right of zero and the second left of it.* Read the last line: that many harmless mutants would
# be called harmful. Evolution has chosen the wild type, so other residues tend to be less likely, harmless or not; the better a model knows its
# protein, the further below zero they go. (For ESM-1v, a larger model, 99.4 % of the near-neutral mutants of this scan score below zero.) What can be
# right is the **order**. So we ask for a rank correlation.
#
# ### Exercise 4.3 · A correlation with its interval · ◆◆ · 20 minutes


# %%
def spearman_ci(x, y, n_boot=1000, seed=0, level=0.95):
    """Spearman's rank correlation and its percentile-bootstrap interval.

    Parameters
    ----------
    x, y : array-like, shape [n]
    n_boot : int
        Draws of n pairs with replacement.
    seed : int
        Same seed, same interval. Leave the global random state alone.
    level : float
        0.95 for an interval from the 2.5 % to the 97.5 % quantile.

    Returns
    -------
    rho, low, high : float
        Equal values share their average rank.
    """
    ### BEGIN SOLUTION
    from scipy.stats import rankdata

    def rho(a, b):
        return np.corrcoef(rankdata(a), rankdata(b))[0, 1]

    x, y = np.asarray(x), np.asarray(y)
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(n_boot):
        rows = rng.integers(0, len(x), len(x))
        drawn.append(rho(x[rows], y[rows]))
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return rho(x, y), low, high
    ### END SOLUTION


# %%
spearman_ci = pc.check("4.3", spearman_ci)

# %% [markdown]
# ### Against what?
#
# A correlation alone says little. We set four others beside the model:
#
# * **BLOSUM62**, a table from 1992 that knows which residues replace each other, and nothing about this protein;
# * the **background**: common residues score high, rare ones low;
# * the **profile** of homologs from section 1, with a pseudocount: alignment and counting, no model;
# * the **site mean**: for each mutant the mean of the *measured* scores of the other mutants at its position. Nobody has that before the
#   experiment; it says how much of the answer is "where" rather than "what".

# %%
from biotite.sequence.align import SubstitutionMatrix

blosum = SubstitutionMatrix.std_protein_matrix()
BLOSUM = np.array([[blosum.get_score(a, b) for b in pc.RESIDUES] for a in pc.RESIDUES], float)


def blosum_table(sequence):
    """BLOSUM62 score of every substitution, shape [L, 20]."""
    return BLOSUM[[pc.RESIDUES.index(r) for r in sequence]]


def log_odds_table(probabilities, sequence):
    """log p(residue) - log p(wild type) of a table of probabilities, shape [L, 20]."""
    logs = np.log(probabilities)
    return logs - logs[np.arange(len(sequence)), [pc.RESIDUES.index(r) for r in sequence]][:, None]


def site_mean(mutations, scores):
    """Mean score of the other mutants at the same position, shape [n]; nan where there is no other."""
    site = pd.Series([int(m[1:-1]) for m in mutations])
    scores = pd.Series(np.asarray(scores))
    groups = scores.groupby(site)
    return ((groups.transform("sum") - scores) / (groups.transform("count") - 1).replace(0, np.nan)).to_numpy()


# %%
N_BOOT = 300
pseudo = 0.9 * profile + 0.1 * background
contestants = {
    "masked marginals": scan["masked marginal"],
    "wild-type marginals": scan["wild-type marginal"],
    "baseline: BLOSUM62": pc.additive_scores(blosum_table(tem1), tem1, scan["mutation"]),
    "baseline: background": pc.additive_scores(log_odds_table(np.tile(background, (len(tem1), 1)), tem1), tem1, scan["mutation"]),
    "baseline: profile of homologs": pc.additive_scores(log_odds_table(pseudo, tem1), tem1, scan["mutation"]),
    "baseline: site mean (measured)": site_mean(scan["mutation"], scan["score"]),
}
results = {name: spearman_ci(values, scan["score"], n_boot=N_BOOT) for name, values in contestants.items()}

# %% alt="Interval plot of Spearman correlations with the TEM-1 scan for masked and wild-type marginals and four grey baselines."
pc.plots.intervals(results, "Spearman correlation with the TEM-1 scan", reference=0);

# %% [markdown]
# *Lines: 95 % bootstrap intervals over mutants. Grey: baselines. Intervals that do not overlap are a clear difference; overlapping ones decide
# nothing.*
#
# One caution. The 19 mutants of a position have much in common, so drawing mutants one by one pretends that there are more independent facts than
# there are. Drawing whole positions is more honest:


# %%
def spearman_over_positions(x, y, positions, n_boot=300, seed=0):
    """Spearman's rho, with an interval from drawing positions with all their mutants."""
    rows = list(pd.Series(np.arange(len(x))).groupby(np.asarray(positions)).indices.values())
    rng = np.random.default_rng(seed)
    x, y = np.asarray(x), np.asarray(y)
    drawn = []
    for _ in range(n_boot):
        chosen = np.concatenate([rows[i] for i in rng.integers(0, len(rows), len(rows))])
        drawn.append(pc.metrics.spearman(x[chosen], y[chosen]))
    return pc.metrics.spearman(x, y), *np.quantile(drawn, [0.025, 0.975])


scan["site"] = [int(m[1:-1]) for m in scan["mutation"]]
for name in ("masked marginals", "baseline: BLOSUM62"):
    wide = spearman_over_positions(contestants[name], scan["score"], scan["site"])
    print("{:20} over mutants {:.2f} to {:.2f}   over positions {:.2f} to {:.2f}".format(name, *results[name][1:], *wide[1:]))

# %%
pairs = scan.dropna(subset=["replicate_1", "replicate_2"])
rho, low, high = spearman_ci(pairs["replicate_1"], pairs["replicate_2"], n_boot=N_BOOT)
print(f"how well the experiment repeats itself: {rho:.2f} ({low:.2f} to {high:.2f})")
best = max(("masked marginals", "wild-type marginals"), key=lambda name: results[name][0])
print(f"these weights: {best} {results[best][0]:.2f} ({results[best][1]:.2f} to {results[best][2]:.2f})")

# %% [markdown]
# How would Meta's models do? Their figures are published (ProteinGym). This is what the same score reaches with more parameters and more data, and
# where *your* weights stand:

# %% alt="Line plot of published Spearman correlations of Meta's ESM-2 against model size for TEM-1, GB1, haemagglutinin and TDP-43, with a star for the weights of this notebook on TEM-1 and a dotted line for a site-independent model."
SIZES = ["8M", "35M", "150M", "650M", "3B", "15B"]
PUBLISHED = {"TEM-1 (Stiffler 2015)": [0.399, 0.557, 0.661, 0.731, 0.589, 0.430],
             "GB1 (Olson 2014, binding)": [0.280, 0.232, 0.264, 0.301],
             "haemagglutinin (Doud 2016)": [-0.004, 0.013, 0.064, 0.507],
             "TDP-43 (Bolognesi 2019)": [0.121, 0.047, 0.021, -0.120]}
fig, ax = plt.subplots(figsize=(8, 3.8))
for (name, values), marker in zip(PUBLISHED.items(), "osD^"):
    ax.plot(SIZES[:len(values)], values, marker=marker, label=name)
ax.axhline(0.466, color=pc.plots.GREY, linestyle=":", label="TEM-1, site-independent")
here = next((name for name, size in pc.FAMILY.items() if size.dim == plm.config.hidden_size), "8M")
ax.plot(here, results[best][0], "*", markersize=16, color="black", label="TEM-1, your weights")
ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
ax.set(xlabel="published: Meta's ESM-2, parameters", ylabel="Spearman correlation");

# %% [markdown]
# *Published figures, not computed here. On TEM-1 more parameters help up to 650M and then hurt; haemagglutinin is noise to the small models and
# clear to the larger one; on TDP-43 the sign turns. A site-independent model, which only counts the columns of an alignment, beats the smallest
# ESM-2 on TEM-1.* (It is another alignment than our profile's, with another result.)
#
# ### Where, or what?
#
# A good score needs two skills: to know which *positions* are sensitive, and which *residue* to fear at a given position. The correlation mixes
# them. Taken apart:

# %%
scores = scan[["site", "score", "masked marginal"]].assign(BLOSUM62=contestants["baseline: BLOSUM62"])
by_site = scores.groupby("site").mean()


def within_sites(name):
    """Rank correlation inside each position, then the mean over positions with its interval."""
    each = [pc.metrics.spearman(group[name], group["score"]) for _, group in scores.groupby("site") if len(group) > 9]
    return pc.bootstrap_ci(np.nanmean, np.array(each))


parts = {"between positions: model": spearman_ci(by_site["masked marginal"], by_site["score"]),
         "baseline between: BLOSUM62": spearman_ci(by_site["BLOSUM62"], by_site["score"]),
         "within a position: model": within_sites("masked marginal"),
         "baseline within: BLOSUM62": within_sites("BLOSUM62")}

# %% alt="Interval plot of four correlations: model and BLOSUM62 between positions, and model and BLOSUM62 within a position."
pc.plots.intervals(parts, "Spearman correlation (between: of site means; within: mean over positions)", reference=0);

# %% [markdown]
# *BLOSUM62 does not know this protein, only which letters are hard to replace by which: isoleucine better by leucine than by aspartate. Compare the
# two pairs. What does your model add to it, and where?*

# %% [markdown]
# ## 4. Five proteins, five questions
#
# One protein is an anecdote. Four more scans, and each of them measures something else:

# %%
scans = {}
for name in ("tem1", "gb1", "abeta42", "tdp43"):
    table = pc.datasets.load(name)
    scans[name] = table[table["n_mutations"] == 1]

# haemagglutinin: preferences (shares of the 20 residues at a site) become scores as log2 of mutant over wild type
preferences = pc.datasets.load("ha_preferences").melt(["position", "wild"], list(pc.RESIDUES), "mutant", "share")
own = preferences[preferences["mutant"] == preferences["wild"]].set_index("position")["share"]
preferences["score"] = np.log2(preferences["share"] / preferences["position"].map(own))
preferences["mutation"] = preferences["wild"] + preferences["position"].astype(str) + preferences["mutant"]
scans["ha"] = preferences[preferences["mutant"] != preferences["wild"]].reset_index(drop=True)
relatives = pc.datasets.load("families")["family"].value_counts()
about = pd.DataFrame({
    "tem1": ["TEM-1 lactamase", "growth under ampicillin", relatives["TEM1"]],
    "gb1": ["GB1", "stability of the fold", relatives["GB1"]],
    "abeta42": ["amyloid β", "forming amyloid nuclei", relatives["Abeta42"]],
    "tdp43": ["TDP-43", "NOT being toxic to yeast", relatives["TDP43_290_373"]],
    "ha": ["haemagglutinin", "virus growth", np.nan],
}, index=["protein", "what counts as fit", "relatives in Swiss-Prot"]).T
about["mutants"] = [len(scans[name]) for name in about.index]
about

# %% [markdown]
# Haemagglutinin has 565 residues. Masking each in turn on two CPU cores would take longer than everything else in this notebook, so without a GPU it
# gets the one-pass score only. (Its relatives in Swiss-Prot were not counted.)


# %%
def contest(name):
    """Spearman correlations with intervals of all scores that can be had for one scan: dict from name to (rho, low, high)."""
    sequence, table = wild_types[name], scans[name]
    tables = {"wild-type marginals": pc.wild_type_marginals(plm, sequence).numpy(), "baseline: BLOSUM62": blosum_table(sequence),
              "baseline: background": log_odds_table(np.tile(background, (len(sequence), 1)), sequence)}
    if len(sequence) < 300 or plm.device.type == "cuda":
        tables = {"masked marginals": masked if name == "tem1" else pc.masked_marginals(plm, sequence).numpy()} | tables
    scores = {label: pc.additive_scores(values, sequence, table["mutation"]) for label, values in tables.items()}
    scores["baseline: site mean (measured)"] = site_mean(table["mutation"], table["score"])
    found = {}
    for label, values in scores.items():
        known = np.isfinite(values)  # a position with a single mutant has no site mean
        found[label] = spearman_ci(values[known], table["score"].to_numpy()[known], n_boot=N_BOOT)
    return found


contests = {name: contest(name) for name in scans}

# %% alt="Five small interval plots, one per protein, each with masked marginals, wild-type marginals and three grey baselines."
fig, axes = plt.subplots(1, 5, figsize=(12, 2.9), sharey=True, sharex=True)
order = list(contests["tem1"])
for ax, (name, rows) in zip(axes, contests.items()):
    pc.plots.intervals({label: rows.get(label, (np.nan,) * 3) for label in order}, "Spearman", 0, ax)
    ax.set_title(about.loc[name, "protein"], fontsize=11)

# %% [markdown]
# *One panel per protein, the same five scores in each; a missing dot was not computed. The measured site mean is not a competitor but a mark: what
# knowing the position is worth.*

# %%
rows = []
for name, found in contests.items():
    model = max((label for label in found if label.endswith("marginals")), key=lambda label: found[label][0])
    simple = max(("baseline: BLOSUM62", "baseline: background"), key=lambda label: found[label][0])
    verdict = "better" if found[model][1] > found[simple][2] else "worse" if found[model][2] < found[simple][1] else "undecided"
    rows.append({"scan": about.loc[name, "protein"], "what counts as fit": about.loc[name, "what counts as fit"],
                 "relatives": about.loc[name, "relatives in Swiss-Prot"],
                 "best of the model": "{:+.2f} ({:+.2f} to {:+.2f})".format(*found[model]), "which": model,
                 "best simple baseline": "{:+.2f} ({:+.2f} to {:+.2f})".format(*found[simple]),
                 "model": verdict})
pd.DataFrame(rows).set_index("scan")

# %% [markdown]
# ("Best of the model" and "best simple baseline" were picked on the very data they are judged on, which flatters both a little.)
#
# ### Why a model fails
#
# Three possible reasons. The table alone does not decide between them; a larger model would, and so would a closer look at the assay.
#
# 1. **It does not know the family.** With few relatives in the training data there is little to learn from; see the column of relatives.
# 2. **The experiment does not ask what evolution asked.** A masked model knows what has been *kept*. TDP-43 is toxic to yeast when it is intact, so
#    breaking it helps the yeast, and the published sign for TDP-43 turns as the models grow.
# 3. **The model is too small, or was not trained for long enough.** Haemagglutinin is the case in point: in the published figures nothing up to 150M,
#    a clear signal at 650M.
#
# Before you use a zero-shot score: count the relatives, and ask whether your assay measures something that nature selects.

# %% [markdown]
# ## 5. Whole sequences, and pairs of mutations
#
# Marginals look at one position of the wild type. To compare whole sequences, add up how well each residue is predicted from all others. That is
# the **pseudo-log-likelihood**. It is not the logarithm of a probability of the sequence, since each factor has seen the other residues; it is a
# score.
#
# ### Exercise 4.4 · Pseudo-log-likelihood · ◆◆ · 15 minutes


# %%
def pseudo_log_likelihood(plm, sequence):
    """Sum of the masked log-probabilities of the residues that stand in the sequence.

    Parameters
    ----------
    plm : the loaded model
    sequence : str

    Returns
    -------
    float
        In nats (natural logarithm), softmax over all 33 tokens; ``<cls>`` and ``<eos>`` do not count.
    """
    ### BEGIN SOLUTION
    tokens = plm.tokenize([sequence])
    total = 0.0
    for place in range(1, len(sequence) + 1):
        copy = tokens.clone()
        copy[0, place] = 32
        log_probs = plm.forward(copy).logits[0, place].log_softmax(dim=-1)
        total += log_probs[tokens[0, place]].item()
    return total
    ### END SOLUTION


# %%
pseudo_log_likelihood = pc.check("4.4", pseudo_log_likelihood)

# %% [markdown]
# ### Spot the bug
#
# This function is modelled on an example script for variant prediction that comes with fair-esm. It looks right. Read it before you run the next
# cell, which tries it on two proteins. On which of the two would you have noticed?


# %%
def suspicious_log_likelihood(plm, sequence):
    tokens = plm.tokenize([sequence])
    total = 0.0
    for i in range(1, len(sequence)):
        masked_tokens = tokens.clone()
        masked_tokens[0, i] = 32
        log_probs = plm.forward(masked_tokens).logits[0, i].log_softmax(-1)
        total += log_probs[pc.sequences.TOKEN_ID[sequence[i]]].item()
    return total


# %%
for name, protein in {"GB1": gb1, "globin": next(iter(pc.datasets.load("globins").values()))}.items():
    right, odd = (score(plm, protein) for score in (pc.pseudo_log_likelihood, suspicious_log_likelihood))
    print(f"{name:7} perplexity, right {np.exp(-right / len(protein)):6.1f}    suspicious {np.exp(-odd / (len(protein) - 1)):6.1f}")

# %% [markdown] tags=["solution"]
# *Token i is residue i − 1, because `<cls>` comes first, so the function masks one residue and asks for the probability of the next (and leaves out
# the last). Where a model knows a protein well, that costs a lot and the figure gives the bug away. Where it knows little, any letter is about as
# likely as any other, and nobody notices.*

# %% [markdown]
# ### Two mutations: the sum of their parts?
#
# The cheap score of a double mutant adds two marginals of the wild type. The expensive one computes the pseudo-log-likelihood of the mutant itself, where
# each mutation sees the other. First the experiment: are the *measured* doubles the sum of the measured singles?

# %% alt="Two density plots of measured double-mutant scores against the sum of the two measured single-mutant scores, for amyloid beta and TDP-43, with the diagonal dashed."
measured = {}
fig, axes = plt.subplots(1, 2, figsize=(10, 3.8))
for ax, name in zip(axes, ("abeta42", "tdp43")):
    table = pc.datasets.load(name)
    single = table[table["n_mutations"] == 1].set_index("mutation")["score"]
    doubles = table[table["n_mutations"] == 2].copy()
    parts = doubles["mutation"].str.split(":", expand=True)
    doubles["sum of singles"] = single.reindex(parts[0]).to_numpy() + single.reindex(parts[1]).to_numpy()
    measured[name] = doubles = doubles.dropna()
    drawn = ax.hexbin(doubles["sum of singles"], doubles["score"], gridsize=45, bins="log", mincnt=1)
    limits = doubles[["sum of singles", "score"]].quantile([0.002, 0.998])
    line = np.array([limits.min().min(), limits.max().max()])
    ax.plot(line, line, "--", color="#404040", linewidth=1)
    ax.set(xlabel="sum of the two measured singles", ylabel="measured double", title=f"{name}, {len(doubles):,} doubles",
           xlim=limits["sum of singles"], ylim=limits["score"])
    fig.colorbar(drawn, ax=ax, label="double mutants")

# %% [markdown]
# *On the dashed line a double is exactly the sum of its parts. For Aβ the cloud lies above it at the low end: the assay has a floor, and a peptide that
# is already broken cannot be broken twice. That bend is the same for all pairs. What scatters around the trend is interaction **and** error of
# measurement; ask for replicates before you call it epistasis.*

# %%
rows = {}
for name, doubles in measured.items():
    sequence = wild_types[name]
    guesses = {"sum of measured singles": doubles["sum of singles"]}
    tables = {"sum of masked marginals": pc.masked_marginals(plm, sequence).numpy(), "sum of BLOSUM62": blosum_table(sequence)}
    for label, table in tables.items():
        guesses[label] = pc.additive_scores(table, sequence, doubles["mutation"])
    for label, guess in guesses.items():
        rows[label, name] = "{:+.2f} ({:+.2f} to {:+.2f})".format(*spearman_ci(guess, doubles["score"], n_boot=100))
pd.Series(rows).unstack()

# %% [markdown]
# Now the model: for a sample of Aβ doubles, the expensive score against the cheap one.

# %%
abeta = wild_types["abeta42"]
n_doubles = 40 if plm.device.type == "cpu" else 600
sample = measured["abeta42"].sample(n_doubles, random_state=0)
base = pc.pseudo_log_likelihood(plm, abeta)
variants = tqdm([pc.apply_mutations(abeta, m) for m in sample["mutation"]], desc="doubles", leave=False)
expensive = np.array([pc.pseudo_log_likelihood(plm, variant) - base for variant in variants])
cheap = pc.additive_scores(pc.masked_marginals(plm, abeta).numpy(), abeta, sample["mutation"])

# %% alt="Scatter plot of the change in pseudo-log-likelihood against the sum of masked marginals for a sample of amyloid-beta double mutants, with the diagonal dashed."
fig, ax = plt.subplots(figsize=(4.8, 4))
ax.scatter(cheap, expensive, s=22, linewidth=0)
line = np.array([max(cheap.min(), expensive.min()), max(cheap.max(), expensive.max())])
ax.plot(line, line, "--", color="#404040", linewidth=1)
ax.set(xlabel="sum of two masked marginals", ylabel="change of pseudo-log-likelihood");

# %%
print(f"the two scores rank the doubles alike: {pc.metrics.spearman(cheap, expensive):.2f}")
for label, values in {"cheap": cheap, "expensive": expensive}.items():
    print(f"{label:9} against the experiment {{:+.2f}} ({{:+.2f}} to {{:+.2f}})".format(*spearman_ci(values, sample["score"])))
print(f"passes through the model for {n_doubles} doubles: cheap {len(abeta)}, expensive {len(abeta) * (n_doubles + 1)}")

# %% [markdown]
# *Each point is a double mutant. A common shift away from the diagonal means that mutations change how well **all** residues are predicted; only a
# change of order would be a disagreement about which doubles are worse.* The printed lines say how much the two orders differ, and whether the
# experiment takes sides. With so few doubles the interval is wide: read it before you pay for the expensive score.

# %% [markdown]
# ## Discussion
#
# * A paper reports ρ = 0.45 for its model on one scan. Which three other numbers do you want to see beside it?
# * The site mean needs measurements. How many measured mutants per position would you need to beat the model? You could try it with the
#   TEM-1 scan: sample them.
# * Zero-shot scores are used to flag human disease variants. Which of the reasons for failure in section 4 worries you most there?
#
# ## Quiz
#
# 1. Mutant A scores −0.4, mutant B of the same protein −2.1, mutant C of another protein −0.4. Which statements about A, B and C are allowed?
# 2. Your scores correlate with ρ = −0.5. A colleague says that the model is useless. What do you check first?
# 3. Wild-type marginals cost one pass, masked marginals L passes. When would you still pay for the masked ones?
# 4. The same script scores "A42G" in three orthologs of a protein. What can go wrong although no error appears?

# %% [markdown] tags=["solution"]
# ### Answers
#
# 1. "The model ranks A above B", and nothing else. Neither is thereby harmful or harmless (section 3, the histogram), and C cannot be compared with A:
#    the scale differs from protein to protein with how far the model commits itself (section 2, the bits).
# 2. The sign of the assay. ΔΔG, toxicity and IC50 grow when things get worse (section 4, TDP-43 and the manifest's note on GB1). A strong negative
#    correlation is as informative as a positive one.
# 3. When the model copies what it sees: then the visible wild type flattens the differences. Compare both with the experiment (section 3), per
#    model.
# 4. Position 42 is another residue in another ortholog. With a check of the wild type the script stops, but only if the residue differs; if
#    position 42 happens to be an alanine everywhere, the alignment is the only safeguard (section 1).

# %% [markdown]
# ## References
#
# * Meier J. et al. (2021) Language models enable zero-shot prediction of the effects of mutations on protein function. *NeurIPS* 34:29287.
# * Notin P. et al. (2023) ProteinGym: large-scale benchmarks for protein fitness prediction and design. *NeurIPS* 36. (published figures)
# * Stiffler M., Hekstra D., Ranganathan R. (2015) Evolvability as a function of purifying selection in TEM-1 β-lactamase. *Cell* 160:882.
# * Nisthal A. et al. (2019) Protein stability engineering insights revealed by domain-wide comprehensive mutagenesis. *PNAS* 116:16367. (GB1)
# * Seuma M. et al. (2021) The genetic landscape for amyloid beta fibril nucleation. *eLife* 10:e63364. (Aβ42)
# * Bolognesi B. et al. (2019) The mutational landscape of a prion-like domain. *Nature Communications* 10:4162. (TDP-43)
# * Doud M., Bloom J. (2016) Accurate measurement of the effects of all amino-acid mutations on influenza hemagglutinin. *Viruses* 8:155.
# * Henikoff S., Henikoff J. (1992) Amino acid substitution matrices from protein blocks. *PNAS* 89:10915. (BLOSUM)
# * Salazar J. et al. (2020) Masked language model scoring. *ACL*. (pseudo-log-likelihood)

# %%
pc.progress(4)
