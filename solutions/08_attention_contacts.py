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
# # 8 · Contacts from attention: what the heads look at
#
# Two residues that touch in the folded protein constrain each other: change one, and the other often has to follow. A model that fills in masked
# residues could use that, and its attention would then point from one to the other. This notebook looks at the attention of all heads, turns it
# into predicted contacts, and counts how many of them are there in crystal structures.
#
# **You will be able to**
#
# * read attention out of a model, with the right axes and without the tokens that are no residues;
# * say what a contact is, and what a prediction that knows nothing but distance along the chain would score;
# * correct maps for their background, and say what that does not do;
# * fit, choose and judge a sparse regression over all heads with chains kept apart;
# * test by ablation whether a head matters.
#
# **Before you start**: notebook 2 (attention, layers, heads), notebook 3, section 1 (tokens). The course follows a lecture on protein language
# models; boxes that begin "The lecture says" compare its statements with what the model does. **Time**: about 3 hours with the exercises; the code
# itself runs in one to two minutes. **Difficulty**: ◆ to ◆◆◆.
#
# | word | means here |
# |---|---|
# | attention map | table [L, L] of one head: row i says how residue i spreads its attention over all others |
# | head, layer | a model has several layers, each with several heads: one map each |
# | Cβ | first carbon of the side chain; glycine has none |
# | contact | two residues whose Cβ atoms are less than 8 Å apart |
# | separation | distance along the chain, j − i: short range 6–11, medium 12–23, long 24 and more |
# | P@L | precision among the L best-scored pairs of a protein with L residues; P@L/5 takes a fifth as many |
# | hub | a residue that draws attention from everywhere |
# | APC | average product correction: takes an estimate of the background out of a map |
# | regression | here: logistic regression, from the values of all heads at a pair to the probability of a contact (or its log-odds, log p / (1 − p)) |
# | L1 penalty | makes the regression pay for each weight's size; most weights then end at exactly 0 |
# | interval | 95 %, by bootstrap: the chains are drawn again, with replacement, a thousand times |
# | nat | unit of surprise with the natural logarithm: −log p |

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
n_layers, n_heads = plm.config.num_hidden_layers, plm.config.num_attention_heads
print(f"{psutil.virtual_memory().available / 1e9:.0f} GB of memory free · PyTorch {torch.__version__.split('+')[0]}")

# %% [markdown]
# The line above says which weights you have. The precision of contacts depends steeply on that, so no result of the model is written into the text below: the
# cells compute it for your model, with intervals, and the text says how to read either outcome. `pc.load("650M")` takes a larger one.

# %% [markdown]
# ## 1. What is in an attention map
#
# Notebook 2 built attention: each position asks (query), each position offers (key), and a softmax turns the matches into shares that sum to 1. One
# such table per head is what we are after, here for human H-Ras, a molecular switch of 166 residues whose structure is known.

# %%
test_chains = pc.datasets.chains("chains_test")
train_chains = pc.datasets.chains("chains_train")
hras = next(chain for chain in test_chains if chain["id"] == "2CE2_A")
print(f"H-Ras, {len(hras['sequence'])} residues; the model has {n_layers} layers x {n_heads} heads = {n_layers * n_heads} maps of it")
print(f"its attention is computed by: {plm.config._attn_implementation}")

# %% [markdown]
# "sdpa" is PyTorch's fast attention. It is fast because it never writes the table down, so there is nothing to read. The slower "eager" does, and a
# loaded model can be told to change over.
#
# The model's tables have a row and a column for each **token**, and `<cls>` and `<eos>` are tokens.
#
# ### Exercise 8.1 · Attention maps · ◆◆ · 20 minutes
#
# Everything else here rests on this function. Wrong axes do not crash, as section 2 will show.


# %%
def attention_maps(plm, sequence):
    """Attention between the residues of a protein, from all heads of all layers.

    Parameters
    ----------
    plm : the loaded model
        Loaded with any kind of attention; ``plm.model.set_attn_implementation("eager")`` changes over, and may be left so.
        ``plm.forward(tokens, output_attentions=True).attentions`` is then a tuple with one tensor [sequences, heads, T, T] per
        layer, where T counts tokens; ``tokens = plm.tokenize([sequence])``, a list, as in notebook 3.
    sequence : str, length L

    Returns
    -------
    Tensor, shape [layers, heads, L, L]
        Entry [layer, head, i, j] is the share of attention that residue i pays to residue j. Rows and columns of ``<cls>`` and
        ``<eos>`` are left out, everything else stays as it is.
    """
    ### BEGIN SOLUTION
    plm.model.set_attn_implementation("eager")
    attentions = plm.forward(plm.tokenize([sequence]), output_attentions=True).attentions
    return torch.stack(attentions, dim=1)[0, :, :, 1:-1, 1:-1]
    ### END SOLUTION


# %%
attention_maps = pc.check("8.1", attention_maps)


# %%
def maps_of(sequence):
    """The same as float32 on the CPU, whichever of the two functions the check returned."""
    return torch.as_tensor(attention_maps(plm, sequence)).float().cpu()


hras_maps = maps_of(hras["sequence"])
to_residues = hras_maps.sum(-1).mean((1, 2))
print("shape", list(hras_maps.shape))
for layer, share in enumerate(to_residues, 1):
    print(f"layer {layer:2}: {share:.1%} of the attention goes to residues, the rest to <cls> and <eos>")

# %% [markdown]
# So the rows no longer sum to 1. We leave that alone: what a head throws at `<cls>` is often its way of saying "nothing to see here", and scaling
# it up would turn nothing into something.
#
# Three of the heads: the sharpest (its rows are nearest to "all attention on one residue"), the most even one, and one in between; and the contacts
# in the crystal structure, which we define in section 3.

# %%
sharpness = hras_maps.amax(-1).mean(-1)
order = sharpness.flatten().argsort(descending=True).tolist()
chosen = {"sharpest": order[0], "in between": order[len(order) // 2], "most even": order[-1]}
hras_contacts = pc.contact_map(hras["xyz"])


def show_map(ax, values, title):
    """One map, dark where attention is high: full colour at three times an even share, or at the top hundredth if that is more."""
    values = np.asarray(values, float)
    edges = (0.5, len(values) + 0.5, len(values) + 0.5, 0.5)
    ax.imshow(values, cmap="Blues", vmin=0, vmax=max(np.quantile(values, 0.99), 3 / len(values)), interpolation="nearest", extent=edges)
    ticks = [1, *range(50, len(values), 50)]
    ax.set(xlim=(-3, len(values) + 1), ylim=(len(values) + 1, -3), xticks=ticks, yticks=ticks)  # room, so that the first residue is seen
    ax.set_title(title, fontsize=11)


# %% alt="Four square maps of H-Ras side by side: the attention of the sharpest head, of a middling and of the most even head, and the contact map of the crystal structure with its bands along the diagonal and patches away from it."
fig, axes = plt.subplots(1, 4, figsize=(12.5, 3.6), sharex=True, sharey=True)
for ax, (name, number) in zip(axes, chosen.items()):
    layer, head = divmod(number, n_heads)
    show_map(ax, hras_maps[layer, head], f"{name}: layer {layer + 1}, head {head + 1}")
    target = hras_maps[layer, head].sum(0)
    print(f"{name:10} most of all at residue {int(target.argmax()) + 1}, which gets {target.max() / target.sum():.0%} of what residues get")
show_map(axes[3], hras_contacts, "contacts, Cβ < 8 Å")
axes[0].set_ylabel("residue that attends")
for ax in axes:
    ax.set_xlabel("residue attended to" if ax is not axes[3] else "residue");

# %% [markdown]
# *Rows attend to columns; dark is three times an even share, or more. A head whose attention goes to one and the same residue from everywhere (see the printed lines) has parked it
# there: it has nothing to say about this protein. Bands beside the diagonal are neighbours in sequence, vertical stripes are residues that everyone looks at.
# In the contact map, a thick diagonal band is a helix, a line parallel to the diagonal a pair of parallel strands, a line across it an antiparallel
# pair. Which of these patterns do you recognise in a head?*

# %% [markdown]
# ## 2. The lecture's recipe, as it stands
#
# In one sentence: take the last layer, average its heads, make the map symmetric, correct it by APC, and call a contact where the result is above
# 0.5. It is written for fair-esm, Meta's own library. We load the same weights there, and first look at what comes back.

# %%
fair_model, alphabet = pc.to_fair_esm(plm)
tokens = plm.tokenize([hras["sequence"]]).cpu()
with torch.no_grad():
    fair = fair_model(tokens, need_head_weights=True)["attentions"]
print("shape:", list(fair.shape), "= [sequences, layers, heads, tokens, tokens]")
picked = fair[-1][0]
for layer in range(n_layers):
    same = torch.allclose(picked[:, 1:-1, 1:-1], hras_maps[layer], atol=1e-4)
    print(f"attentions[-1][0] is layer {layer + 1}: {'yes' if same else 'no'}")
try:
    fair[5]
except IndexError as error:
    print("attentions[5]:", error)

# %% [markdown]
# > **The lecture says** `attentions[layer][0]`, with `layer=-1` for the last one. **The model says** that in fair-esm the first axis is the
# > *sequence* and the second the layer, so `[-1][0]` is the last sequence's **first** layer, and `layer=5` stops with an error. (With several
# > sequences it would not even stop.) The indexing is right for transformers, where attention is a tuple over layers.
#
# Now the recipe on 20 chains: with layer 1, which this indexing gives, and with each of the others, in case they were meant. Tokens that are no
# residues are kept, as there.


# %%
def recipe(layer_maps):
    """Mean over heads, symmetrised, background of row and column means subtracted. [heads, T, T] -> [T, T]"""
    mean = layer_maps.mean(0)
    mean = (mean + mean.T) / 2
    to, of = mean.mean(0), mean.mean(1)
    return mean - torch.outer(of, to) / mean.mean()


rows = []
for chain in tqdm(test_chains[:20], desc="recipe", leave=False):
    with torch.no_grad():
        fair = fair_model(plm.tokenize([chain["sequence"]]).cpu(), need_head_weights=True)["attentions"][0]
    touching = int(np.triu(pc.contact_map(chain["xyz"]), 6).sum())
    for layer in range(n_layers):
        values = recipe(fair[layer])
        rows.append({"layer": layer + 1, "residues": len(chain["sequence"]), "contacts in the structure": touching,
                     "above 0.5": int((values > 0.5).sum()), "largest": values.max().item(),
                     "largest, 6 or more apart": values[1:-1, 1:-1].triu(6).max().item()})
found = pd.DataFrame(rows)
of_layer = found.groupby("layer")
of_layer[["contacts in the structure", "above 0.5"]].sum().join(of_layer[["largest", "largest, 6 or more apart"]].max().round(3))

# %% alt="Scatter plot against chain length of the largest corrected value among pairs six or more residues apart, one dot per chain and layer, coloured by layer, with grey dots for the largest value anywhere in the map; a dashed line at the threshold of one half lies above."
fig, ax = plt.subplots(figsize=(7.5, 3.8))
ax.scatter(found["residues"], found["largest"], s=14, color="#c4c4c4", label="anywhere in the map")
sns.scatterplot(found, x="residues", y="largest, 6 or more apart", hue=found["layer"].map("layer {}".format), palette="viridis",
                s=28, linewidth=0, ax=ax)
ax.axhline(0.5, linestyle="--", color="#c03000", label="threshold")
ax.set(xlabel="residues in the chain, L", ylabel="largest value", yscale="log", ylim=(None, 1))
ax.legend(bbox_to_anchor=(1, 1), loc="upper left");

# %% [markdown]
# *One dot per chain and layer: the largest value among all pairs that could count as a predicted contact; in grey the largest anywhere, diagonal
# and special tokens included.*
#
# > **The lecture says** threshold 0.5. **The model says** that a row of attention sums to 1 and is spread over L residues; the mean over heads and
# > the correction shrink it further. A value of 0.5 would need half of all heads to agree on a pair with all their attention, from both ends. The column
# > "above 0.5" counts what is found (contacts and everything else), beside the contacts that are there.
#
# Could a lower threshold do? The largest values differ between layers, and between chains, and nothing says which of them means "contact" in the
# next protein. What can be compared within a protein is their **order**. So we shall rank pairs, and count how many of the best are right.

# %% [markdown]
# ## 3. What is a contact?
#
# By convention: Cβ atoms less than **8 Å** apart. Glycine has no Cβ, and our chains carry the backbone only, so the Cβ is built from N, Cα and C
# with ideal geometry. How far is a built one from a real one? Ubiquitin (1UBQ) has both.

# %%
ubiquitin = pc.datasets.load("1ubq")
ubiquitin = ubiquitin[~ubiquitin.hetero]
real = {int(atom.res_id): atom.coord for atom in ubiquitin if atom.atom_name == "CB"}
backbone = np.stack([[ubiquitin.coord[(ubiquitin.res_id == n) & (ubiquitin.atom_name == name)][0] for name in ("N", "CA", "C")]
                     for n in np.unique(ubiquitin.res_id)])
built = dict(zip(np.unique(ubiquitin.res_id).tolist(), pc.contacts.beta_carbons(backbone)))
off = np.array([np.linalg.norm(built[n] - real[n]) for n in real])
print(f"{len(real)} real Cβ atoms, {len(built) - len(real)} glycines: built ones are off by {off.mean():.2f} Å on average, "
      f"{off.max():.2f} Å at most")
same = pc.contact_map(backbone) == pc.contact_map(ubiquitin)
i, j = np.triu_indices(len(same), 6)
print(f"contacts from built and from real Cβ agree for {same[i, j].mean():.2%} of the pairs")

# %% [markdown]
# Good enough for a limit at 8 Å. Now: how often do two residues touch, depending on how far apart they are in the sequence? From here on, **20
# training chains** are for fitting, **20 others** for choosing, and the 60 test chains wait until everything is decided.

# %%
shuffled = np.random.default_rng(0).permutation(len(train_chains))
fit_chains, choose_chains = ([train_chains[i] for i in np.sort(part)] for part in (shuffled[:20], shuffled[20:40]))
RANGES = pc.contacts.RANGES  # separations, both ends included
print("ranges:", RANGES)
for name, chosen_chains in (("to fit", fit_chains), ("to choose", choose_chains), ("to test", test_chains)):
    density = {r: np.mean([pc.contact_map(c["xyz"])[pc.contacts.pairs(len(c["sequence"]), *span)].mean() for c in chosen_chains])
               for r, span in RANGES.items()}
    print(f"{name:9} {len(chosen_chains)} chains; share of pairs in contact: " + ", ".join(f"{r} {d:.1%}" for r, d in density.items()))
print(f"families shared by training and test chains: {len({c['cluster'] for c in train_chains} & {c['cluster'] for c in test_chains})}")

# %% alt="Curve of the share of residue pairs in contact against separation along the chain on logarithmic axes: near one for neighbours, a dip, and a slow decline beyond; shaded bands mark short, medium and long range, a dashed line is the fitted distance baseline."
from sklearn.linear_model import LogisticRegression

touch, apart = [], []
for chain in fit_chains:
    i, j = np.triu_indices(len(chain["sequence"]), 1)
    touch.append(pc.contact_map(chain["xyz"])[i, j])
    apart.append(j - i)
touch, apart = np.concatenate(touch), np.concatenate(apart)
far = apart >= 6
by_distance = LogisticRegression().fit(np.log(apart[far])[:, None], touch[far])

share = pd.Series(touch).groupby(apart).mean()
fig, ax = plt.subplots(figsize=(7.5, 3.8))
for (name, (low, high)), shade in zip(RANGES.items(), ("#e8e8e8", "#f6f6f6", "#e8e8e8")):
    ax.axvspan(low - 0.5, (high or 150) + 0.5, color=shade, linewidth=0)
    ax.text(np.sqrt(low * (high or 150)), 0.7, name, ha="center")
ax.plot(share.index, share, "o-", markersize=3, linewidth=1, label="20 training chains")
line = np.arange(6, 151)
ax.plot(line, by_distance.predict_proba(np.log(line)[:, None])[:, 1], "--", color="#c03000", label="distance-only baseline")
ax.set(xscale="log", yscale="log", xlim=(0.9, 150), ylim=(0.005, 1.2),
       xlabel="separation along the chain (residues)", ylabel="share of pairs in contact",
       xticks=[1, 3, 6, 12, 24, 50, 100], xticklabels=[1, 3, 6, 12, 24, 50, 100])
ax.minorticks_off()
ax.legend(loc="lower left");

# %% [markdown]
# *Neighbours touch whatever the fold, and 3 to 4 apart so does every helix; that is why pairs closer than 6 do not count. Beyond, contacts become
# rarer with distance.*
#
# That decline is knowledge that needs no model. The **distance-only baseline** is a logistic regression from the logarithm of the separation to
# contacts: within each range it simply prefers the closest pairs. A head that likes near residues imitates it, and without the baseline beside it
# would look as if it knew the fold.

# %% [markdown]
# ## 4. The background, and how to take it away
#
# Some residues attract attention from everywhere: a vertical stripe. Some look around more than others: a horizontal one. Neither says that two
# residues belong together. If a map were *nothing but* "how much i gives × how much j gets", the entry would be row sum × column sum / total. The
# **average product correction** subtracts that:
#
# $$F_{ij} - \frac{F_{i\cdot}\,F_{\cdot j}}{F_{\cdot\cdot}}$$
#
# (a dot means: summed over that index).
#
# ### Exercise 8.2 · Average product correction · ◆◆ · 15 minutes
#
# For one map, or for all maps of a model at once.


# %%
def apc(maps):
    """Subtract from each map the product of its row and column sums, divided by its total.

    Parameters
    ----------
    maps : Tensor, shape [..., L, L]
        One map, or any number of leading axes: [layers, heads, L, L]. Not to be changed. Need not be symmetric, and is
        corrected as it is, the diagonal included.

    Returns
    -------
    Tensor of the same shape
    """
    ### BEGIN SOLUTION
    rows = maps.sum(-1, keepdim=True)
    columns = maps.sum(-2, keepdim=True)
    return maps - rows * columns / maps.sum((-2, -1), keepdim=True)
    ### END SOLUTION


# %%
apc = pc.check("8.2", apc)


# %% [markdown]
# In every use below, the map is made symmetric first: x + xᵀ, since a contact has no direction. Here is a head of H-Ras before and after: the one
# of which the background makes up nearest to half (by the sum of squares).

# %%
def symmetric_apc(maps):
    """x + x.T, corrected: array [..., L, L]."""
    maps = torch.as_tensor(maps)
    return np.asarray(apc(maps + maps.transpose(-1, -2)))


both_ways = (hras_maps + hras_maps.transpose(-1, -2)).numpy()
background = both_ways - symmetric_apc(hras_maps)
share = (background**2).sum((-1, -2)) / (both_ways**2).sum((-1, -2))  # its size beside the map's; not a part of it
layer, head = (int(n) for n in np.unravel_index(np.abs(share - 0.5).argmin(), share.shape))
before, after = both_ways[layer, head], both_ways[layer, head] - background[layer, head]
hub = int(before.sum(0).argmax())
print(f"size of the background beside that of the map (sums of squares): median over all heads {np.median(share):.2f}, "
      f"half of them from {np.quantile(share, 0.25):.2f} to {np.quantile(share, 0.75):.2f}; layer {layer + 1}, head {head + 1}: {share[layer, head]:.2f}")
print(f"larger than the map itself in {(share > 1).sum()} heads: with a single hub the product overshoots where the map has nothing")
print(f"its most looked-at residue is {hras['sequence'][hub]}{hub + 1}: sum of its column before {before[:, hub].sum():.2f} "
      f"(mean of all columns {before.sum(0).mean():.2f}), after {abs(after[:, hub].sum()):.2f}")

# %% alt="Two maps of the same head of H-Ras: before the correction with blue stripes along the rows and columns of some residues, after it with the gaps in these stripes negative, in red, and single blue spots left."
fig, axes = plt.subplots(1, 2, figsize=(8.6, 4.1), sharey=True)
for ax, values, title in zip(axes, (before, after), ("symmetrised", "and corrected")):
    limit = max(np.quantile(np.abs(before), 0.98), 6 / len(before))
    drawn = ax.imshow(values, cmap="RdBu", vmin=-limit, vmax=limit, interpolation="nearest", extent=(0.5, 166.5, 166.5, 0.5))
    ax.set(title=f"layer {layer + 1}, head {head + 1}, {title}", xlabel="residue")
    fig.colorbar(drawn, ax=ax, label="attention, both directions", shrink=0.8)
axes[0].set_ylabel("residue");

# %% [markdown]
# *Blue is positive, red negative. Left: stripes of residues that are looked at by many. Right: each entry compared with what its row and its column
# lead one to expect. In a striped column a look counts for less, and no look counts as negative: less than expected. All rows and columns sum to
# 0.*
#
# > **The lecture says** that APC isolates direct coupling. **The model says** nothing of the kind: it removes a background, and a chain of
# > couplings is no background. Here is the smallest experiment: twelve columns of numbers, in which A drives B and B drives C, and nothing links A
# > and C.

# %%
generator = np.random.default_rng(0)
columns = generator.normal(size=(5000, 12))
columns[:, 1] = columns[:, 0] + 0.7 * columns[:, 1]  # A drives B
columns[:, 2] = columns[:, 1] + 0.7 * columns[:, 2]  # B drives C
strength = np.corrcoef(columns.T)**2
precision = np.linalg.inv(np.cov(columns.T))
partial = (precision / np.sqrt(np.outer(precision.diagonal(), precision.diagonal())))**2
tables = {"correlation²": strength, "correlation², APC": np.asarray(apc(torch.tensor(strength))), "partial correlation²": partial}
pd.DataFrame({name: {"A–B, direct": t[0, 1], "B–C, direct": t[1, 2], "A–C, through B": t[0, 2],
                     "largest of the others": np.triu(t, 1)[:, 3:].max()}
              for name, t in tables.items()}).T.round(2)

# %% [markdown]
# APC lowers all three, since three strong columns among twelve are partly background to it; but A–C still stands far above everything that is not coupled. Only the last row, which asks what is left of A–C once B is known, tells
# direct from indirect. That is the idea of direct coupling analysis (DCA), which does it for alignments; whether a language model's heads do so is
# a question to measure, not a consequence of APC.

# %% [markdown]
# ## 5. Counting right ones: precision at L
#
# Rank all pairs of a protein, keep as many as it has residues, and ask what share are contacts. The length of the list grows with the protein,
# since larger proteins have proportionally more contacts.
#
# ### Exercise 8.3 · Precision at L · ◆◆ · 25 minutes
#
# Small decisions here move published numbers by several points. The docstring fixes all of them.


# %%
def precision_at_l(scores, contacts, min_separation=6, max_separation=None, fraction=1.0):
    """Share of contacts among the best-scored pairs of one protein.

    Parameters
    ----------
    scores : array, shape [L, L]
        Higher means more likely a contact. Only the pairs i < j are read.
    contacts : bool array, shape [L, L]
    min_separation, max_separation : int
        Pairs compete when min_separation <= j - i <= max_separation; None means no upper limit.
    fraction : float
        The k = max(1, floor(fraction · L)) best pairs count. If fewer than k pairs compete, all of them do, and their number is the
        denominator. At least one pair always competes.

    Returns
    -------
    float
        Contacts among the pairs that count, divided by their number. Of pairs with equal scores, the one with the smaller i comes
        first, then the one with the smaller j.
    """
    ### BEGIN SOLUTION
    i, j = np.triu_indices(len(scores), min_separation)  # ordered by i, then j
    if max_separation is not None:
        i, j = i[j - i <= max_separation], j[j - i <= max_separation]
    k = max(1, int(fraction * len(scores)))
    best = np.argsort(-scores[i, j], kind="stable")[:k]
    return float(contacts[i, j][best].mean())
    ### END SOLUTION


# %%
precision_at_l = pc.check("8.3", precision_at_l)

# %% [markdown]
# Try it on scores whose value you know: the truth itself, chance, the distance-only baseline. And on one more, a classic error: all pairs allowed,
# neighbours included.

# %%
L = len(hras["sequence"])
position = np.arange(L)
separation = np.abs(position[:, None] - position)
noise = np.random.default_rng(0).random((L, L))
print(f"the contact map itself            {precision_at_l(hras_contacts.astype(float), hras_contacts):.3f}")
print(f"random scores                     {precision_at_l(noise, hras_contacts):.3f}")
print(f"closest pairs first               {precision_at_l(-separation.astype(float), hras_contacts):.3f}")
everything = precision_at_l(-separation.astype(float), hras_contacts, min_separation=1)
print(f"closest pairs first, all allowed  {everything:.3f}   <- so never count neighbours")

# %% [markdown]
# Now the heads. First as in the lecture: the mean over all heads, corrected. Then each head alone, on the 20 chains for fitting.

# %%
fit_maps = [maps_of(chain["sequence"]) for chain in tqdm(fit_chains, desc="attention", leave=False)]
fit_truth = [pc.contact_map(chain["xyz"]) for chain in fit_chains]
alone = np.zeros((n_layers, n_heads, len(fit_chains)))
mean_head = []
for number, (maps, truth) in enumerate(zip(tqdm(fit_maps, desc="heads", leave=False), fit_truth)):
    corrected = symmetric_apc(maps)
    mean_head.append(precision_at_l(corrected.mean((0, 1)), truth, 24))
    for layer, head in np.ndindex(n_layers, n_heads):
        alone[layer, head, number] = precision_at_l(corrected[layer, head], truth, 24)
best_head = tuple(int(n) for n in np.unravel_index(alone.mean(-1).argmax(), (n_layers, n_heads)))
print(f"long-range P@L on the 20 chains for fitting: mean of heads {np.mean(mean_head):.3f}, "
      f"best head {alone.mean(-1).max():.3f} (layer {best_head[0] + 1}, head {best_head[1] + 1}), median head {np.median(alone.mean(-1)):.3f}")

# %% [markdown]
# The best of so many heads on these chains is partly the luckiest. What it is worth shows on chains that had no part in the choice, in section 6.
#
# ### Why the mean loses what a head knows
#
# Plant contacts into made-up attention: 40 residues, 20 heads, 19 of which look at neighbours and at hubs with plenty of noise. One knows the
# contacts.

# %%
def planted(seed, size=40, heads=20, knows=13):
    """Made-up maps [1, heads, size, size] in which one head knows the contacts, and the contacts."""
    generator = np.random.default_rng(seed)
    contacts = np.triu(generator.random((size, size)) < 0.05, 6)
    maps = generator.gamma(1.0, 1.0, (heads, size, size)) * generator.gamma(2.0, 1.0, (heads, 1, size))
    near = np.abs(np.subtract.outer(np.arange(size), np.arange(size))) < 3
    maps[::2] += 20 * near
    maps[knows] = generator.gamma(1.0, 1.0, (size, size)) + 6 * contacts
    maps /= maps.sum(-1, keepdims=True)
    return torch.tensor(maps[None], dtype=torch.float32), contacts | contacts.T


toy_maps, toy_truth = planted(0)
toy = symmetric_apc(toy_maps)[0]
toy_precision = {"mean of the 20 heads": precision_at_l(toy.mean(0), toy_truth), "the head that knows": precision_at_l(toy[13], toy_truth),
                 "chance": toy_truth[np.triu_indices(40, 6)].mean()}
for name, value in toy_precision.items():
    print(f"{name:22} P@L {value:.2f}")

# %% [markdown]
# The signal is diluted by 20, the noise only by √20. So we should not average but *weigh* the heads, and most deserve the weight 0.

# %% [markdown]
# ## 6. A sparse regression over all heads
#
# This is the method of Rao et al. (2021), with which ESM's contacts were published: for each pair of residues, one number per head (symmetrised,
# corrected); from these the probability of a contact, by logistic regression; an L1 penalty, which sets most weights to exactly 0; fitted on **20
# structures**. What such a small fit finds was in the attention already.
#
# ### Exercise 8.4 · Fit a contact head · ◆◆◆ · 35 minutes


# %%
def fit_contact_head(maps, contacts, min_separation=6, c=0.15):
    """Fit a logistic regression with an L1 penalty from all heads to contacts.

    Parameters
    ----------
    maps : list of Tensor, shape [layers, heads, L, L]
        Attention of each training chain, L its own length. Not to be changed.
    contacts : list of bool array, shape [L, L]
    min_separation : int
        Train on the pairs i < j with j - i >= min_separation, of all chains together, each pair once.
    c : float
        Inverse strength of the penalty, scikit-learn's C.

    Returns
    -------
    any object with a method ``predict``
        ``head.predict(maps)`` takes the maps [layers, heads, L, L] of one chain, which may be new, and returns the probability of
        a contact for every pair: [L, L], symmetric. A feature is one head's ``apc(x + x.T)`` at a pair, as it is, not scaled.
        (``types.SimpleNamespace(predict=a_function)`` makes such an object.)
    """
    from types import SimpleNamespace

    # given: scikit-learn's logistic regression with an L1 penalty; it has .fit(x, y) and .predict_proba(x)
    regression = pc.contacts.sparse_regression(c)

    ### BEGIN SOLUTION
    def features(chain):
        """[layers · heads, L, L]"""
        return np.asarray(apc(chain + chain.transpose(-1, -2)).flatten(0, 1))

    table, answers = [], []
    for chain, truth in zip(maps, contacts):
        i, j = np.triu_indices(len(truth), min_separation)
        table.append(features(chain)[:, i, j].T)
        answers.append(truth[i, j])
    regression.fit(np.concatenate(table), np.concatenate(answers))

    def predict(chain):
        values = features(chain)
        rows = values.reshape(len(values), -1).T
        return regression.predict_proba(rows)[:, 1].reshape(values.shape[1:])

    return SimpleNamespace(predict=predict)
    ### END SOLUTION


# %%
fit_contact_head = pc.check("8.4", fit_contact_head)

# %% [markdown]
# First on the planted contacts: fitted on six made-up chains, tried on the one from above.

# %%
toy_chains = [planted(seed) for seed in range(1, 7)]
toy_head = fit_contact_head([maps for maps, _ in toy_chains], [truth for _, truth in toy_chains], c=100.0)
toy_precision["regression over all heads"] = precision_at_l(np.asarray(toy_head.predict(toy_maps)), toy_truth)
for name, value in toy_precision.items():
    print(f"{name:26} P@L {value:.2f}")
assert toy_precision["regression over all heads"] > 2 * toy_precision["mean of the 20 heads"]

# %% [markdown]
# The mean has lost most of what one head knew, and the regression has found that head. Now on real chains. How strong should the penalty be? That is
# decided on the 20 chains for choosing, by the mean P@L over the three ranges; the fit has not seen them, and the test will not. Several
# settings may not be told apart (the interval of the paired difference contains 0); one has to be taken all the same, and that is the highest.

# %%
choose_truth = [pc.contact_map(chain["xyz"]) for chain in choose_chains]
choose_maps = [maps_of(chain["sequence"]) for chain in tqdm(choose_chains, desc="attention", leave=False)]
grid = (0.02, 0.05, 0.15, 0.5)
curve = {}
for c in tqdm(grid, desc="penalty", leave=False):
    candidate = fit_contact_head(fit_maps, fit_truth, c=c)
    curve[c] = [np.mean([precision_at_l(np.asarray(candidate.predict(maps)), truth, *span) for span in RANGES.values()])
                for maps, truth in zip(choose_maps, choose_truth)]
best_c = max(curve, key=lambda c: np.mean(curve[c]))
for c, values in curve.items():
    behind = pc.bootstrap_ci(np.mean, np.array(values) - curve[best_c])
    print(f"c = {c:<4} mean P@L {{:.3f}} ({{:.3f}} to {{:.3f}})  ".format(*pc.bootstrap_ci(np.mean, values)),
          "<- taken" if c == best_c else "difference to the highest {:+.3f} ({:+.3f} to {:+.3f})".format(*behind))
del choose_maps

# %% [markdown]
# The chosen fit, once with your function and once with the course's own, which keeps its weights for later:

# %%
contact_head = fit_contact_head(fit_maps, fit_truth, c=best_c)
course_head = pc.fit_contact_head(fit_maps, fit_truth, c=best_c)
difference = np.abs(np.asarray(contact_head.predict(hras_maps)) - course_head.predict(hras_maps))[~np.eye(L, dtype=bool)].max()
used = int((course_head.weight != 0).sum())
print(f"{used} of {course_head.weight.size} heads have a weight; largest difference of the two heads' probabilities {difference:.4f} "
      "(more than 0.01 would be another regression)")

# %% [markdown]
# ### The test
#
# Everything is fixed; the 60 test chains come out, once. Five methods, three ranges, three list lengths. *Chance* is the share of contacts among
# all pairs that compete.

# %%
FRACTIONS = {"P@L": 1.0, "P@L/2": 0.5, "P@L/5": 0.2}
METHODS = ("mean of heads", "best head", "regression", "baseline: distance only", "baseline: chance")
test_truth = [pc.contact_map(chain["xyz"]) for chain in test_chains]
results = {(method, r, f): [] for method in METHODS for r in RANGES for f in FRACTIONS}
for chain, truth in zip(tqdm(test_chains, desc="test", leave=False), test_truth):
    maps = maps_of(chain["sequence"])
    corrected = symmetric_apc(maps)
    apart = np.abs(np.subtract.outer(np.arange(len(truth)), np.arange(len(truth)))).clip(1)
    scores = {"mean of heads": corrected.mean((0, 1)), "best head": corrected[best_head],
              "regression": np.asarray(contact_head.predict(maps)),
              "baseline: distance only": by_distance.decision_function(np.log(apart).reshape(-1, 1)).reshape(apart.shape)}
    for r, span in RANGES.items():
        chance = truth[pc.contacts.pairs(len(truth), *span)].mean()
        for f, fraction in FRACTIONS.items():
            for method, values in scores.items():
                results[method, r, f].append(precision_at_l(values, truth, *span, fraction=fraction))
            results["baseline: chance", r, f].append(chance)

# %%
summary = {key: pc.bootstrap_ci(np.mean, values) for key, values in results.items()}
columns = [(r, f) for r in RANGES for f in FRACTIONS]
table = pd.DataFrame({column: {method: "{:.3f}<br>{:.3f}–{:.3f}".format(*summary[method, *column]).replace("0.", ".")
                               for method in METHODS} for column in columns})
best = {column: max(METHODS, key=lambda method: summary[method, *column][0]) for column in columns}
display(table.style.apply(lambda values: ["font-weight: bold" if best[values.name] == method else "" for method in values.index])
        .set_table_styles([{"selector": "td, th", "props": "text-align: center; padding: 4px 7px; white-space: nowrap; font-size: 12px"}]))

# %% alt="Three interval plots, for short, medium and long range: P@L of the mean of heads, the best head and the regression in blue, of distance only and of chance in grey."
fig, axes = plt.subplots(1, 3, figsize=(11, 2.9), sharey=True)
for ax, r in zip(axes, RANGES):
    pc.plots.intervals({method: summary[method, r, "P@L"] for method in METHODS}, "P@L", None, ax)
    ax.set(title=f"{r} range", xlim=(0, None))

# %% [markdown]
# *Mean over 60 test chains, with 95 % intervals over chains. Grey: what can be had without a model. The panels have scales of their own.*
#
# Intervals of two methods may overlap although one is better on nearly every chain, because chains differ a lot. So take the difference chain by
# chain, and put the interval around *that*.

# %% alt="Interval plot of the paired difference in P@L between the regression and the distance-only baseline, for short, medium and long range, with a dashed line at zero."
paired = {}
for r in RANGES:
    model, baseline = (np.array(results[method, r, "P@L"]) for method in ("regression", "baseline: distance only"))
    paired[f"{r} range"] = pc.bootstrap_ci(np.mean, model - baseline)
    value, low, high = paired[f"{r} range"]
    verdict = "above the baseline" if low > 0 else "below the baseline" if high < 0 else "not told apart from the baseline"
    print(f"{r:6} range: regression - distance only = {value:+.3f} ({low:+.3f} to {high:+.3f}): {verdict}; "
          f"better on {(model > baseline).sum()}, worse on {(model < baseline).sum()} of {len(model)} chains")
long_range = {method: np.array(results[method, "long", "P@L"]) for method in METHODS}
for one, other in (("regression", "best head"), ("best head", "mean of heads")):
    print(f"long   range: {one} - {other} = {{:+.3f}} ({{:+.3f}} to {{:+.3f}})".format(*pc.bootstrap_ci(np.mean, long_range[one] - long_range[other])))
pc.plots.intervals(paired, "P@L, regression − distance only", 0);

# %% [markdown]
# How to read it:
#
# * **Above the baseline**: the attention holds something about this fold, beyond "near in sequence". Look at the size, too: P@L = 0.05 is nineteen
#   wrong pairs for each right one, whatever the interval says.
# * **Not told apart**: for this range you could have used the separation alone. A large model is no proof that yours knows contacts.
# * **Below**: the regression was fitted on all separations from 6 on, where being near is the easiest clue (contacts are densest at short range); and
#   within a range, "closest first" is a hard rule to beat for something noisy.
# * **Best head** was chosen for long range: judge it there only. Regression against best head: what weighing adds, if anything. Best head against
#   mean: what averaging loses, if anything.
#
# If your regression is barely above the baseline, then most of what follows shows heads that know *distance*. Read it so.
#
# What larger models do is published. Here it is beside yours (other chains, so compare the order of magnitude):

# %%
published = pd.DataFrame({"large valid set": [15.9, 28.8, 42.2, 50.1, 52.7, 54.5], "CASP14": [9.8, 16.4, 26.8, 32.5, 34.0, 37.0]},
                         index=[f"ESM-2 {size}" for size in pc.FAMILY])  # the paper's held-out chains, and targets of a contest of 2020
published.columns = pd.MultiIndex.from_product([["long-range P@L in %, Lin et al. 2023"], published.columns])
display(published)
print(f"loaded here: {plm.source}")
print("long-range P@L on our 60 test chains: {:.1f} % ({:.1f} to {:.1f})".format(*(100 * v for v in summary["regression", "long", "P@L"])),
      "· distance only {:.1f} %".format(100 * summary["baseline: distance only", "long", "P@L"][0]))

# %% [markdown]
# From 8M to 150M the published precision grows to more than two and a half times, on the same training data. One way to read that: contacts come
# late, since much else about a residue is cheaper to learn than what stands at the other end of the chain. If so, little training should look like
# a small model, and a table like this one is no place to be proud or ashamed of a checkpoint, but to know it.
#
# ### An alignment instead of a model
#
# For H-Ras we have an alignment of 999 relatives. Two columns that change together have **mutual information** (MI): how many bits the
# one says about the other. Our version in words: only sequences count that have a residue in both columns, no gaps; each sequence weighs 1 over the
# number of sequences that are 80 % identical to it, so that a crowd of near-copies has one vote; half an observation is spread over the 400 pairs of
# letters beforehand (a pseudocount), so that chance among few sequences does not look like certainty; then APC, as always. Columns in which most relatives have a gap are left out, for the model too.

# %%
def mutual_information(rows, identity=0.8):
    """Mutual information in bits between all columns of an alignment (rows of equal length): array [columns, columns]."""
    letters = pc.RESIDUES + "-"
    x = torch.eye(21)[torch.tensor([[letters.index(letter) for letter in row] for row in rows])]  # [rows, columns, 21]
    alike = (x.flatten(1) @ x.flatten(1).T) / x.shape[1] >= identity
    weight = 1 / alike.sum(1)
    flat = x[..., :20].flatten(1)  # a gap is no letter here
    pairs = ((flat * weight[:, None]).T @ flat).reshape(x.shape[1], 20, -1, 20).transpose(1, 2) + 0.5 / 400
    pairs = pairs / pairs.sum((2, 3), keepdim=True)
    independent = pairs.sum(3, keepdim=True) * pairs.sum(2, keepdim=True)
    return (pairs * (pairs / independent).log2()).sum((2, 3)).numpy(), weight.numpy()


alignment = list(pc.datasets.load("hras_alignment").values())
information, weight = mutual_information(alignment)
np.fill_diagonal(information, 0)  # a column says everything about itself
filled = np.average([[letter != "-" for letter in row] for row in alignment], axis=0, weights=weight)
FIRST, size = 4, len(filled)  # the alignment's columns are residues 5 to 165, from 0: 4 to 164
use = np.ix_(filled > 0.5, filled > 0.5)
mi_apc = np.full((size, size), -np.inf)
mi_apc[use] = np.asarray(apc(torch.tensor(information[use])))
print(f"{len(alignment)} sequences with a total weight of {weight.sum():.0f}; {(filled > 0.5).sum()} of {size} columns used; "
      f"strongest pair {information[use].max():.2f} bits")

# %%
truth = hras_contacts[FIRST:FIRST + size, FIRST:FIRST + size]
contenders = {"regression over heads": np.asarray(contact_head.predict(hras_maps))[FIRST:FIRST + size, FIRST:FIRST + size],
              "mutual information + APC": mi_apc, "mutual information, raw": information,
              "distance only": -np.abs(np.subtract.outer(np.arange(size), np.arange(size))).astype(float)}
contenders = {name: np.where(np.isfinite(mi_apc), values, -np.inf) for name, values in contenders.items()}
pd.DataFrame({(r, f): {name: precision_at_l(values, truth, *span, fraction=fraction) for name, values in contenders.items()}
              for r, span in RANGES.items() for f, fraction in FRACTIONS.items()}).round(3)

# %% alt="Two square maps of H-Ras. In each the lower triangle shows the true contacts in grey; the upper triangle shows the L best pairs of the regression on the left and of mutual information on the right, right ones as blue dots and wrong ones as orange crosses."
BLUE, ORANGE = (sns.color_palette("colorblind")[n] for n in (0, 1))


def best_pairs(scores, k, low=6):
    """The k best pairs at least ``low`` apart, as two index arrays."""
    i, j = pc.contacts.pairs(len(scores), low)
    chosen = np.argsort(-scores[i, j], kind="stable")[:k]
    return i[chosen], j[chosen]


fig, axes = plt.subplots(1, 2, figsize=(9.6, 4.9), sharey=True)
for ax, (name, values) in zip(axes, list(contenders.items())[:2]):
    ax.imshow(np.where(np.tril(truth, -6), 0.45, 0.0), cmap="Greys", vmin=0, vmax=1, extent=(4.5, 165.5, 165.5, 4.5),
              interpolation="nearest")
    i, j = best_pairs(values, size)
    right = truth[i, j]
    ax.scatter(j[right] + 5, i[right] + 5, s=14, color=BLUE, label=f"right ({right.sum()})", linewidth=0)
    ax.scatter(j[~right] + 5, i[~right] + 5, s=16, color=ORANGE, marker="x", linewidth=1.1, label=f"wrong ({(~right).sum()})")
    ax.plot([5, 165], [5, 165], color="#b0b0b0", linewidth=0.8)
    ax.set(title=name, xlabel="residue of H-Ras")
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=2)
axes[0].set_ylabel("residue of H-Ras")
for name in ("regression over heads", "mutual information + APC", "distance only"):
    i, j = best_pairs(contenders[name], size)
    print(f"{name:24} {truth[i, j].sum():3} of the {size} best pairs are contacts; median separation {np.median(j - i):.0f}")

# %% [markdown]
# *Below the diagonal: contacts of the crystal structure, separation 6 and more. Above: the L best pairs of each method among the positions that
# both cover. Right pairs mirror a grey spot. Pairs that hug the diagonal are what "closest first" would have chosen, too; the printed lines say how many that
# alone gets right.*
#
# One protein is an example and no test. But note what each needs: the alignment's numbers are counted from a thousand relatives of *this* protein,
# the model has seen many families once and has to recognise this one from a single sequence. (MI with APC is the method of 2008; DCA does better on
# the same alignment.)

# %% [markdown]
# ## 7. What heads look at
#
# A head may be about something else than contacts. Neighbours in sequence, a turn of a helix away (i ± 3, i ± 4), or far: three numbers per head
# are a first look.
#
# ### Exercise 8.5 · Profile the heads · ◆ · 15 minutes


# %%
def head_profile(maps):
    """Where each head looks: shares of its attention at three kinds of separation.

    Parameters
    ----------
    maps : Tensor, shape [layers, heads, L, L]
        Rows need not sum to 1. Not to be changed.

    Returns
    -------
    Tensor or array, shape [layers, heads, 3]
        Attention at |i - j| = 1, at |i - j| = 3 or 4, and at |i - j| >= 24, each summed over the whole map (both directions) and
        divided by the sum of all entries of that head's map. 0 where a short chain has no such pair.
    """
    ### BEGIN SOLUTION
    position = torch.arange(maps.shape[-1])
    apart = (position[:, None] - position).abs()
    kinds = [apart == 1, (apart == 3) | (apart == 4), apart >= 24]
    return torch.stack([maps[..., kind].sum(-1) for kind in kinds], dim=-1) / maps.sum((-2, -1))[..., None]
    ### END SOLUTION


# %%
head_profile = pc.check("8.5", head_profile)

# %% [markdown]
# Averaged over the 20 chains for fitting. A number means nothing without what an even spread of attention would give, so the maps show how
# many **times as much** each head spends there. Beside it, which heads the regression listens to: a weight alone does not say, since a head whose
# values hardly vary needs a large weight to be heard. So we take weight × spread of the values, the **influence**.

# %%
profile = np.mean([np.asarray(head_profile(maps)) for maps in fit_maps], axis=0)
even = np.mean([np.asarray(head_profile(torch.ones(1, 1, len(t), len(t))))[0, 0] for t in fit_truth], axis=0)
KINDS = ("neighbours, |i−j| = 1", "helix turn, |i−j| = 3, 4", "long range, |i−j| ≥ 24")
spread = []
for maps in fit_maps:
    i, j = pc.contacts.pairs(maps.shape[-1])
    spread.append(symmetric_apc(maps)[..., i, j].std(-1))
influence = course_head.weight * np.mean(spread, axis=0)  # by how much the log-odds typically move with this head
strongest = [divmod(int(n), n_heads) for n in np.argsort(-np.abs(influence).ravel(), kind="stable")[:6] if influence.ravel()[n] != 0]
for kind, share in zip(KINDS, even):
    print(f"{kind:26} even attention: {share:.1%}")

# %% alt="Three heat maps of layers by heads showing how many times more attention than an even spread each head pays to neighbours, to residues three or four away and to residues 24 or more away; small circles mark the heads with the largest influence on the regression."
fig, axes = plt.subplots(3, 1, figsize=(10, 0.9 + 3 * (1.0 + 0.2 * n_layers)), sharex=True)
for ax, kind, values, share in zip(axes, KINDS, np.moveaxis(profile, -1, 0), even):
    times = np.log2(np.maximum(values / share, 1e-3))
    drawn = ax.imshow(times, cmap="RdBu", vmin=-5, vmax=5, aspect="auto", interpolation="nearest")
    for layer, head_number in strongest:
        for colour, width in (("white", 4), ("black", 1.6)):  # a white rim, to be seen on dark colours
            ax.plot(head_number, layer, "o", markersize=9, markerfacecolor="none", markeredgecolor=colour, markeredgewidth=width)
    bar = fig.colorbar(drawn, ax=ax, pad=0.01, ticks=[-5, -2, 0, 2, 5], extend="both")
    bar.ax.set_yticklabels(["1/32 ×", "1/4 ×", f"even, {share:.1%}", "4 ×", "32 ×"])
    ax.set(title=kind, ylabel="layer", yticks=range(n_layers), yticklabels=range(1, n_layers + 1))
axes[2].set(xlabel="head", xticks=range(n_heads), xticklabels=range(1, n_heads + 1));

# %% [markdown]
# *Blue: more attention than an even spread would give (white), red: less. (Long range has most pairs of a protein to begin with, so no head can get
# far above even there. Pale layers hardly mind where a residue stands.) Circles: the six heads with the largest influence on the regression.*
#
# Which kinds did the regression pick? Not simply the "long-range heads": far attention may be nothing but a lack of interest in what is near, and a
# head that looks at neighbours can be useful by a negative weight.

# %%
rows = [{"layer": layer + 1, "head": number + 1, "weight": course_head.weight[layer, number], "influence": influence[layer, number],
         "P@L alone, long range": alone[layer, number].mean(), **dict(zip(KINDS, profile[layer, number])),
         "elsewhere": 1 - profile[layer, number].sum()} for layer, number in strongest]
display(pd.DataFrame(rows).round(3))
print(f"elsewhere, with even attention: {1 - even.sum():.3f}; heads with more than half of their attention elsewhere: "
      f"{(profile.sum(-1) < 0.5).sum()} of {n_layers * n_heads}")
print(f"best head for long range: {profile[best_head][2]:.1%} of its attention is at |i−j| ≥ 24")
flat_p, flat_far = alone.mean(-1).ravel(), profile[..., 2].ravel()
print("rank correlation over all heads: long-range P@L alone "
      f"against share of long-range attention {pc.metrics.spearman(flat_p, flat_far):+.2f}, "
      f"against influence {pc.metrics.spearman(flat_p, influence.ravel()):+.2f}")

# %% [markdown]
# The column *elsewhere* says what three numbers miss. And P@L only ranks: a head can owe a good order at long range to the crumbs of attention that it spends there. Look at how
# much that is (the last line) before you call it a contact head.
#
# The lecture is right that heads differ. Whether "specialised" is more than a word can be tested: switch them off.

# %% [markdown]
# ## 8. Switching heads off
#
# A forward hook (a function that PyTorch calls with a layer's output, and that may change it) stands between a layer's attention and its output projection, and
# sets the slice of a head to zero. We switch off the heads with
# the best long-range P@L of their own on the chains for fitting, a twentieth of all, and compare with **random heads of the same layers**, three
# draws: what counts is not that a wounded model is worse, but whether it is worse than after any other wound of that size.

# %%
from contextlib import contextmanager


@contextmanager
def without_heads(heads):
    """The model with these (layer, head) switched off, as long as the ``with`` block lasts."""
    width, handles = plm.config.hidden_size // n_heads, []
    for layer in {layer for layer, _ in heads}:
        numbers = [number for of, number in heads if of == layer]

        def hook(module, inputs, output, numbers=numbers):
            context = output[0].clone()
            for number in numbers:
                context[..., number * width:(number + 1) * width] = 0
            return (context, *output[1:])

        handles.append(plm.model.esm.encoder.layer[layer].attention.self.register_forward_hook(hook))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


k = max(1, n_layers * n_heads // 20)
ranked = [divmod(int(n), n_heads) for n in np.argsort(-alone.mean(-1).ravel(), kind="stable")]
top = ranked[:k]


def random_like(heads, seed):
    """As many other heads of the same layers."""
    generator, drawn = np.random.default_rng(seed), []
    for layer in sorted({layer for layer, _ in heads}):
        free = [number for number in range(n_heads) if (layer, number) not in heads]
        wanted = sum(of == layer for of, _ in heads)
        drawn += [(layer, int(number)) for number in generator.permutation(free)[:wanted]]
    return drawn


plm.model.set_attn_implementation("sdpa")  # as it was loaded: the loss needs no maps
print("switched off:", ", ".join(f"layer {layer + 1} head {number + 1}" for layer, number in sorted(top)))

# %% [markdown]
# Two measurements on the test chains. **Masked loss** in nats, the same masks each time. **Contacts**: the regression is *fitted anew* on what is
# left, on the same 20 chains and with the same c; the maps of the heads that are off count as zero, since their output reaches no one. So the
# contacts get every chance to be found elsewhere.

# %%
def measure(heads):
    """(masked loss per chain, long-range P@L per chain) with these heads switched off."""
    def seen(chain):
        maps = pc.attention_maps(plm, chain["sequence"])
        for layer, number in heads:
            maps[layer, number] = 0
        return maps

    with without_heads(heads):
        losses = [nll.mean().item() for nll in pc.pretraining.masked_nll(plm, [chain["sequence"] for chain in test_chains])]
        refitted = pc.fit_contact_head((seen(chain) for chain in fit_chains), fit_truth, c=best_c)
        found = [pc.precision_at_l(refitted.predict(seen(chain)), truth, 24) for chain, truth in zip(test_chains, test_truth)]
    return np.array(losses), np.array(found)


conditions = {"none": [], "best heads": top} | {f"random {seed + 1}": random_like(top, seed) for seed in range(3)}
measured = {name: measure(heads) for name, heads in tqdm(conditions.items(), desc="ablation", leave=False)}

# %% alt="Two interval plots of what switching heads off changes, best heads in blue and three random draws in grey: masked loss on the left, long-range P@L after refitting on the right, with dashed lines at no change."
changes = {}
for name in list(conditions)[1:]:
    label = name if name == "best heads" else f"baseline: {name}"
    changes[label] = [pc.bootstrap_ci(np.mean, after - before) for after, before in zip(measured[name], measured["none"])]
    print(f"{name:11} masked loss {{:+.4f}} ({{:+.4f}} to {{:+.4f}}) nats   ".format(*changes[label][0])
          + "long-range P@L {:+.4f} ({:+.4f} to {:+.4f})".format(*changes[label][1]))
fig, axes = plt.subplots(1, 2, figsize=(10, 2.7), sharey=True)
for number, (ax, title) in enumerate(zip(axes, ("change of masked loss (nats per residue)", "change of long-range P@L, refitted"))):
    pc.plots.intervals({label: values[number] for label, values in changes.items()}, title, 0, ax)
    ax.locator_params(axis="x", nbins=5)
draws = [measured[name][1] for name in list(conditions)[2:]]
extra = pc.bootstrap_ci(np.mean, measured["best heads"][1] - np.mean(draws, axis=0))
print("P@L, best heads off minus random heads off (mean of the draws): {:+.4f} ({:+.4f} to {:+.4f})".format(*extra))

# %% [markdown]
# *Paired differences to the whole model, 95 % intervals over the test chains. The random draws differ among themselves: that spread, and not the width of one interval, is the yardstick, and
# three draws are few.*
#
# * **Loss**: does the best heads' interval lie outside all the grey ones? Then they matter to the model's own task as well, not only to our eyes.
# * **Contacts**: a fall below the random draws says that the knowledge sat in these heads. No difference says one of two things: other heads know
#   the same (redundancy), or there was little to lose (compare with the table of section 6 before you call it redundancy).
# * A head's map can correlate with contacts without being *used* for anything. Only an intervention like this one shows use, and only of the kind
#   that you measure.

# %% [markdown]
# ## 9. Look for yourself
#
# Two sliders, every head: corrected attention in the upper triangle, contacts with separation 6 and more in the lower, so that the two can be
# compared across the diagonal. (Sliders need a running notebook: run the cell. Where you see none, the picture that follows stands in for them.)

# %%
import io

import ipywidgets


def draw_head(layer, head, ax):
    """One corrected head in the upper triangle, the contacts in the lower; long-range P@L in the title."""
    values = symmetric_apc(hras_maps[layer - 1, head - 1])
    upper = np.triu(values, 6)
    look = {"interpolation": "nearest", "extent": (0.5, L + 0.5, L + 0.5, 0.5), "vmin": 0}
    ax.imshow(np.where(np.tril(hras_contacts, -6), 0.45, np.nan), cmap="Greys", vmax=1, **look)
    ax.imshow(np.where(np.triu(upper, 6) > 0, upper, np.nan), cmap="Blues", vmax=max(1e-6, np.quantile(upper, 0.997)), **look)
    ax.set_title(f"layer {layer}, head {head}: long-range P@L {precision_at_l(values, hras_contacts, 24):.2f}", fontsize=11)
    ax.set(xlabel="residue")


def browse(change=None):
    """Draw the head that the sliders point at, and show it below them."""
    fig, ax = plt.subplots(figsize=(4.8, 4.8))
    draw_head(sliders[0].value, sliders[1].value, ax)
    ax.set_ylabel("residue")
    page = io.BytesIO()
    fig.savefig(page, format="png")
    plt.close(fig)
    picture.value = page.getvalue()


sliders = [ipywidgets.IntSlider(start, 1, last, description=name, continuous_update=False)
           for name, start, last in (("layer", best_head[0] + 1, n_layers), ("head", best_head[1] + 1, n_heads))]
picture = ipywidgets.Image(format="png", layout={"max_width": "480px"})
for slider in sliders:
    slider.observe(browse, "value")
browse()
ipywidgets.VBox([*sliders, picture])

# %% alt="Three square maps of H-Ras: in the upper triangle the corrected attention of the best head, of the head with the largest influence on the regression and of the worst head, in the lower triangle the contacts in grey."
by_weight = divmod(int(influence.argmax()), n_heads)
fig, axes = plt.subplots(1, 3, figsize=(12, 4.4), sharey=True)
for ax, (layer, number) in zip(axes, (best_head, by_weight, ranked[-1])):
    draw_head(layer + 1, number + 1, ax)
axes[0].set_ylabel("residue");

# %% [markdown]
# *The same picture for three heads: the best one on the training chains, the one with the largest positive influence on the regression, and the one
# that was worst on the training chains. Upper triangle: attention in both directions, corrected (a line along an edge is a residue that takes part in everything); lower: contacts of H-Ras. On
# one protein the order can turn round: 0.01 is one or two pairs.*

# %% [markdown]
# ### On the structure
#
# A predicted pair is a claim about space. Here is the course of H-Ras's backbone, with the L/5 best pairs of separation 12 and more drawn as lines
# between the two residues: those of the regression, and those of the alignment from the same side.

# %% alt="Two pictures of the C-alpha trace of H-Ras in grey, nearer parts darker, with lines for predicted pairs: on the left those of the regression, on the right those of mutual information; solid blue lines for true contacts, dashed orange lines for pairs that do not touch."
centre, turn = pc.views.principal_axes(hras["xyz"][:, 1])  # longest axis to the right, shortest towards the reader
alpha = (hras["xyz"][:, 1] - centre) @ turn.T
near = np.interp(alpha[:, 2], (alpha[:, 2].min(), alpha[:, 2].max()), (0.2, 0.8))
beta = pc.contacts.beta_carbons(hras["xyz"])


def draw_on_structure(ax, pairs, title):
    """The backbone and predicted pairs, right ones solid; prints how far apart the pairs are."""
    for n in np.argsort(alpha[:-1, 2]):
        ax.plot(alpha[n:n + 2, 0], alpha[n:n + 2, 1], color=str(1 - near[n]), linewidth=2.4, solid_capstyle="round", zorder=2)
    right = hras_contacts[pairs]
    for a, b, good in zip(*pairs, right):
        look = {"color": BLUE, "linewidth": 2.6} if good else {"color": ORANGE, "linewidth": 1, "linestyle": "--"}
        ax.plot(alpha[[a, b], 0], alpha[[a, b], 1], zorder=4 if good else 3, **look)
    ax.plot([], [], color=BLUE, linewidth=2.6, label=f"contact ({right.sum()})")
    ax.plot([], [], "--", color=ORANGE, linewidth=1, label=f"no contact ({(~right).sum()})")
    ax.set(title=title, xlabel="longest axis (Å)", aspect="equal")
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2)
    apart = np.linalg.norm(beta[:, None] - beta, axis=-1)
    wrong = (pairs[1] - pairs[0])[~right]
    same = [np.median(apart.diagonal(separation)) for separation in wrong]  # what pairs of these separations are like
    print(f"{title:24} {right.mean():4.0%} of {len(right)} pairs are contacts; the others are {np.median(apart[pairs][~right]):.0f} Å apart (median), "
          f"pairs of the same separations {np.median(same):.0f} Å")


fig, axes = plt.subplots(1, 2, figsize=(11, 4.6), sharey=True)
draw_on_structure(axes[0], best_pairs(np.asarray(contact_head.predict(hras_maps)), L // 5, 12), "regression over heads")
draw_on_structure(axes[1], tuple(n + FIRST for n in best_pairs(mi_apc, L // 5, 12)), "mutual information + APC")
axes[0].set_ylabel("second axis (Å)");

# %% [markdown]
# *Backbone in grey, nearer parts darker. A right pair is less than 8 Å long in space, and on paper it can look shorter, since depth is lost; long dashed lines across the
# molecule are errors. Only if the errors are nearer than pairs of the same separations, see the printed lines, do they lean in the right direction.*
#
# A model that is poor pair by pair could still know who lies in the core. Added up over all partners, the regression's probabilities say how many
# contacts a residue expects. The baseline knows the letter only: the mean number of contacts of that amino acid in the training chains. `pc.show` draws
# what the regression expects on the fold: a picture that stays, and below it, in a running notebook, a view that you can turn with the mouse.

# %% alt="The fold of H-Ras as a ribbon, coloured by how many contacts the regression expects of each residue, from dark for few to bright for many, and the same numbers as bars along the chain."
def number_of_contacts(values):
    """Sum over the partners at separation 6 and more, for each residue."""
    position = np.arange(len(values))
    return (np.asarray(values, float) * (abs(position[:, None] - position) >= 6)).sum(1)


expects, has = number_of_contacts(contact_head.predict(hras_maps)), number_of_contacts(hras_contacts)
seen = pd.DataFrame([(letter, number) for chain in train_chains for letter, number in zip(chain["sequence"], number_of_contacts(pc.contact_map(chain["xyz"])))])
by_letter = seen.groupby(0)[1].mean()[list(hras["sequence"])]
for name, values in (("regression", expects), ("baseline: letter", by_letter)):
    print(f"{name:17} from {values.min():.1f} to {values.max():.1f} contacts (truth: {has.min():.0f} to {has.max():.0f}), Spearman with the truth "
          + "{:.2f} ({:.2f} to {:.2f} over residues)".format(*pc.spearman_ci(values, has)))
pc.show(hras["xyz"], expects, label="expected contacts")

# %% [markdown]
# *Bright: many expected contacts; mind the ends of the colour scale. Where all residues have nearly one colour but for the ends of the chain, which have fewer partners to
# sum over, the regression hardly tells core from surface. The printed lines say whether it knows more than the letter does. (Neighbours along the chain are alike, so the
# intervals are narrower than they should be.)*

# %% [markdown]
# > **The lecture cites** Rives et al. for contacts in attention. **The work is** Rao et al. (2021), "Transformer protein language models are
# > unsupervised structure learners": the regression of section 6, its 20 structures, its precision. (Vig et al. had looked at single heads shortly
# > before.)

# %% [markdown]
# ## Discussion
#
# * Twenty structures taught the regression which heads to trust. Is that still "unsupervised", as the title of the paper says? What would you have
#   to show to defend the word?
# * Families of our test chains do not occur among the training chains. The *language model*, though, may well have seen relatives. Does that matter
#   here, and how would you find out?
# * A protein with a thousand known relatives and one with none: for which would you trust attention more than an alignment, and why?
# * Homodimers touch themselves across the interface. What would such contacts look like in the table of "wrong" predictions?
#
# ## Quiz
#
# 1. A colleague's contact predictor reaches P@L = 0.62. Name the two settings that you ask for first, and the baseline.
# 2. Your regression is no better than the distance-only baseline at long range, but better at short range. A reviewer concludes: "the model has not
#    learned structure". Do you agree?
# 3. You choose the best of all heads on the same chains on which you report it. In which direction is the number off, and does it get worse or
#    better with a larger model?
# 4. After APC, residues A and C score high, and so do A–B and B–C. Which of the pairs are contacts?
# 5. You switch off the best contact head, and neither loss nor precision changes. What does that prove?

# %% [markdown] tags=["solution"]
# ### Answers
#
# 1. Which separations count (with neighbours allowed, "closest first" alone is nearly perfect: section 5, the four printed lines) and how many
#    pairs (L, L/2 or L/5; section 6, compare along a row of the table). The baseline: closest pairs first, on the same chains.
# 2. Not as it stands. Short-range contacts are structure too: helices, hairpins. Compare the paired differences per range with their intervals
#    (section 6, the interval plot); "not told apart" on 60 chains is no proof of absence either, and the published table shows that long range
#    comes last.
# 3. Too high: the best of many noisy numbers is partly luck. With more heads there are more tickets, so it gets worse. Compare "best head" on the
#    chains for fitting (section 5, last cell before the planted contacts) with the test (section 6, the table).
# 4. Cannot be said. APC leaves indirect coupling in place (section 4, the table of three columns A, B, C): A–C may be the shadow of the other two.
# 5. Not that the head knows nothing: others may know the same (section 8: the regression was fitted anew on the rest). Nor that it is redundant, if
#    there was little to lose. Compare with the whole model's margin over the baseline first.

# %% [markdown]
# ## References
#
# * Rao R. et al. (2021) Transformer protein language models are unsupervised structure learners. *ICLR*. (the method)
# * Vig J. et al. (2021) BERTology meets biology: interpreting attention in protein language models. *ICLR*. (single heads)
# * Lin Z. et al. (2023) Evolutionary-scale prediction of atomic-level protein structure with a language model. *Science* 379:1123. (ESM-2; the
#   table of sizes)
# * Dunn S., Wahl L., Gloor G. (2008) Mutual information without the influence of phylogeny or entropy dramatically improves residue contact
#   prediction. *Bioinformatics* 24:333. (APC)
# * Morcos F. et al. (2011) Direct-coupling analysis of residue coevolution captures native contacts across many protein families. *PNAS* 108:E1293.
#   (DCA)
# * Dauparas J. et al. (2022) Robust deep learning–based protein sequence design using ProteinMPNN. *Science* 378:49. (geometry of the virtual Cβ)
# * Rives A. et al. (2021) Biological structure and function emerge from scaling unsupervised learning to 250 million protein sequences. *PNAS*
#   118:e2016239118. (ESM; the lecture's citation)

# %%
pc.progress(8)
