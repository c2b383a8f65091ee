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
# # 7 · From a language model to coordinates
#
# ESMFold reads one sequence with ESM-2 and writes a structure. It has 3.5 billion parameters and wants 9 GB of free memory and more. But each of its ideas
# fits: this notebook takes the real class apart at a small size, trains a folding head that a CPU can train, and measures what comes out with the
# scores that structure prediction is judged by.
#
# **You will be able to**
#
# * compare two structures by RMSD, lDDT and TM-score, and say what each of them does not see;
# * follow a sequence through ESMFold: language model, trunk, structure module, recycling;
# * read pLDDT and PAE, on the right scale, and say what each is a claim about;
# * turn distances into coordinates, and settle which of two mirror images they mean;
# * judge a folding model against baselines, a ceiling, and its own confidence.
#
# **Before you start**: notebook 3 (embeddings), and from notebook 8 only this much: attention between two residues says something about
# their distance, and P@L is the share of true contacts among the L pairs that a model ranks first. The course follows a lecture on protein language models; boxes that begin "The lecture says" compare its statements with what the
# model does. **Time**: about 3 hours with the exercises; the code itself runs in about two minutes. **Difficulty**: ◆ to ◆◆◆.
#
# | word | means here |
# |---|---|
# | Cα | the backbone carbon that carries the side chain: one per residue; a **trace** is the line through them |
# | Å | ångström, 0.1 nm; neighbouring Cα are 3.8 Å apart |
# | native | the structure that an experiment found |
# | superposition | the rotation and shift that bring one structure nearest to another |
# | RMSD | root mean square of the distances that are left after superposition, in Å |
# | lDDT | share of distances to neighbours that are kept; no superposition; 0 to 1 |
# | TM-score | share of residues that come close, each counted by how close; 0 to 1 |
# | pLDDT, PAE, pTM | what a model *predicts* of its own lDDT, of its errors in Å, of its TM-score |
# | distogram | for each pair of residues a probability for each distance bin |
# | MLP | two linear layers with a bend between them, applied to each residue or pair by itself |
# | triangle update | what is known of the pairs i–k and j–k changes what is known of i–j; by multiplication or by attention |
# | invariant point attention | attention among residues that also compares points in space, whatever way the protein is turned |
# | nat | unit of a log-probability with the natural logarithm; cross-entropy counts them per pair |
# | trunk, recycle | ESMFold's 48 blocks between language model and coordinates; one more pass through them |
# | interval | 95 %, by bootstrap: the chains are drawn again, with replacement, a thousand times |

# %%
import importlib.util
import subprocess
import sys

if importlib.util.find_spec("plmcourse") is None:  # on Colab; a local installation has it already
    subprocess.check_call([sys.executable, "-m", "pip", "install", "--quiet", "{{install}}"])

import inspect
import io

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import psutil
import seaborn as sns
import torch
from biotite.structure.io.pdb import PDBFile

import plmcourse as pc
from plmcourse import folding
from plmcourse.structures import ca_coordinates, distances, pseudo_dihedrals

pc.plots.use_course_style()
plm = pc.load()
print(f"{psutil.virtual_memory().available / 1e9:.0f} GB of memory free · PyTorch {torch.__version__.split('+')[0]}")

# %% [markdown]
# No result of a model is written into the text below: the cells compute it for your weights, with intervals, and the text says how to read either
# outcome. All sizes stand here.

# %%
on_cpu = plm.device.type == "cpu"
SIZES = {
    "folded": 48 if on_cpu else 60,  # test chains in section 6
    "epochs": 7 if on_cpu else 10,  # of the folding head
    "steps": 140 if on_cpu else 200,  # of the refinement of a structure
    "degraded": 12 if on_cpu else 30,  # chains in section 7
}
BLUE, ORANGE, GREY = "#0173b2", "#de8f05", "#8a8a8a"

# %% [markdown]
# ## 1. What a structure is here
#
# A protein of L residues has several thousand atoms. For the question "is the fold right?" one point per residue does: the Cα trace, an array [L, 3].
# Here is ubiquitin, 76 residues, as a crystal showed it (1UBQ).

# %%
crystal = pc.datasets.load("1ubq")
crystal = crystal[~crystal.hetero]  # without water
ubiquitin = ca_coordinates(crystal)
UBIQUITIN = "MQIFVKTLTGKTITLEVEPSDTIENVKAKIQDKEGIPPDQQRLIFAGKQLEDGRTLSDYNIQKESTLHLVLRLRGG"
print(f"{len(crystal)} atoms -> {len(ubiquitin)} Cα atoms, array {list(ubiquitin.shape)} in Å")
print("from one Cα to the next:", np.linalg.norm(np.diff(ubiquitin, axis=0), axis=1).round(2)[:8], "Å ...")

# %% alt="Ribbon drawing of ubiquitin with an orange helix packed against blue strands and beige coils between them, its ends marked N and C."
pc.show(crystal, "secondary structure")

# %% [markdown]
# *Ubiquitin: strands that form a sheet, a helix that lies across it, coil between them. The picture shows depth by fading; the 3D view, where your notebook has one, can be turned with the
# mouse.*
#
# Where the protein lies in space, and how it is turned, is an accident of the crystal. What belongs to the protein are the **distances** between its
# residues: an [L, L] table that no rotation changes.

# %% alt="Square map of the distances between the residues of ubiquitin in ångström, dark along the diagonal, with a thick dark band for the helix and dark lines across and along the diagonal for pairs of strands."
turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
turn *= np.linalg.det(turn)  # a rotation: determinant 1
moved = ubiquitin @ turn.T + [30, -20, 5]
print(f"turned and moved: coordinates change by up to {abs(moved - ubiquitin).max():.0f} Å, "
      f"distances by {abs(distances(moved) - distances(ubiquitin)).max():.0e} Å")


def distance_map(ax, values, title, limit=40):
    """Distances in Å as a square map, dark where residues are near."""
    edge = len(values) + 0.5
    drawn = ax.imshow(values, cmap="viridis", vmin=0, vmax=limit, extent=(0.5, edge, edge, 0.5), interpolation="nearest")
    ax.set(title=title, xlabel="residue")
    return drawn


fig, ax = plt.subplots(figsize=(5, 4))
fig.colorbar(distance_map(ax, distances(ubiquitin), "ubiquitin"), ax=ax, label="Cα–Cα distance (Å)")
ax.set_ylabel("residue");

# %% [markdown]
# *Dark is near. The thick part of the diagonal is the helix; a dark line across the diagonal is a pair of antiparallel strands, a line along it a pair of
# parallel ones.*

# %% [markdown]
# ## 2. How far apart are two structures?
#
# Before anything is predicted we need to say what "good" means. Two structures of one protein come in two frames. So first lay one onto the other:
# shift both centres to the origin, then find the rotation with the smallest sum of squared distances. Kabsch's answer takes one
# singular value decomposition of the 3 × 3 matrix $\text{mobile}^T\,\text{target} = U S V^T$: the rotation is $U V^T$
# (points are rows here, so it stands on the right: mobile $U V^T$).
#
# There is one trap. $U V^T$ can have determinant −1, and is then a rotation *and a reflection*: it lays a left hand onto a right hand. No protein can do that.
# The best proper rotation turns the sign of the last, weakest axis.
#
# ### Exercise 7.1 · RMSD after superposition · ◆◆ · 20 minutes
#
# The oldest score, and the one that everybody quotes.


# %%
def kabsch_rmsd(mobile, target):
    """Root mean square deviation after the best superposition: a rotation and a shift, never a mirror image.

    Parameters
    ----------
    mobile, target : float array, shape [N, 3], in Å
        Row i of one belongs to row i of the other. N is 1 or more; the points may lie in a plane or in a line, and anywhere in
        space. Both stay unchanged.

    Returns
    -------
    float
        In Å: the root of the mean, over the N residues, of the squared distance that is left. 0 (up to rounding, never nan) for
        a copy that was only rotated and shifted.

    Raises
    ------
    ValueError
        If the two shapes differ, or are not [N, 3].
    """
    ### BEGIN SOLUTION
    if np.shape(mobile) != np.shape(target) or np.ndim(mobile) != 2 or np.shape(mobile)[1] != 3:
        raise ValueError(f"expected two arrays [N, 3], got {np.shape(mobile)} and {np.shape(target)}")
    p = mobile - mobile.mean(axis=0)
    q = target - target.mean(axis=0)
    u, _, vt = np.linalg.svd(p.T @ q)
    if np.linalg.det(u @ vt) < 0:
        u[:, -1] *= -1
    return float(np.sqrt(((p @ u @ vt - q) ** 2).sum(axis=1).mean()))
    ### END SOLUTION


# %%
kabsch_rmsd = pc.check("7.1", kabsch_rmsd)

# %% [markdown]
# Four copies of ubiquitin: turned and moved; every Cα displaced at random by about 1 Å; **its mirror image**; and the last ten residues moved away by 20 Å
# as one piece, the other 66 untouched.

# %%
rng = np.random.default_rng(0)
away = ubiquitin[-10:].mean(0) - ubiquitin.mean(0)
tail = ubiquitin.copy()
tail[-10:] += 20 * away / np.linalg.norm(away)
copies = {
    "turned and moved": moved,
    "displaced by about 1 Å": ubiquitin + rng.normal(size=ubiquitin.shape) / np.sqrt(3),
    "mirror image": ubiquitin * [1, 1, -1],
    "last ten residues 20 Å away": tail,
}
for name, xyz in copies.items():
    print(f"{name:28} {kabsch_rmsd(xyz, ubiquitin):6.2f} Å")
print(f"{'... without these ten':28} {kabsch_rmsd(tail[:-10], ubiquitin[:-10]):6.2f} Å")

# %% [markdown]
# The mirror image is far away, as it should be. But look at the last copy: RMSD calls it a bad model, and without the ten residues it is perfect.
# Squares make a few large distances outweigh everything else. Real proteins have flexible ends, and predicted ones have loops that went astray, so a
# large RMSD may mean "wrong everywhere" or "wrong in one place".
#
# A score that asks each residue about its own surroundings can tell. **lDDT** (local distance difference test) takes all residues j near residue i in the
# native structure and counts how many of these distances the model has kept, within 0.5, 1, 2 and 4 Å. The confidence of AlphaFold (for Cα) and of ESMFold (for each
# atom) predicts this number, so it is worth knowing from the inside. Ours looks at Cα atoms alone.
#
# ### Exercise 7.2 · lDDT on Cα atoms · ◆◆ · 20 minutes
#
# Only one thing decides which pairs count: the *native* distance.


# %%
def lddt_ca(model, native, radius=15.0):
    """Local distance difference test on C-alpha atoms: for each residue, how many distances to its neighbours are kept.

    The partners of residue i are all other residues whose distance to i in the native structure is below the radius, neighbours in
    the sequence included. A distance is kept within a threshold if it changes, up or down, by at most (<=) the threshold. The score
    is the share of the partners whose distance is kept, averaged over the thresholds 0.5, 1, 2 and 4 Å.

    Parameters
    ----------
    model, native : float array, shape [L, 3], in Å
        L is 1 or more. Nothing is superposed. Both stay unchanged.
    radius : float
        In Å.

    Returns
    -------
    float array, shape [L]
        One score per residue, from 0 to 1, not rounded; nan for a residue without partners.

    Raises
    ------
    ValueError
        If the two shapes differ, or are not [L, 3].
    """
    ### BEGIN SOLUTION
    if np.shape(model) != np.shape(native) or np.ndim(model) != 2 or np.shape(model)[1] != 3:
        raise ValueError(f"expected two arrays [L, 3], got {np.shape(model)} and {np.shape(native)}")
    before = np.linalg.norm(native[:, None] - native[None], axis=-1)
    after = np.linalg.norm(model[:, None] - model[None], axis=-1)
    partner = (before < radius) & ~np.eye(len(native), dtype=bool)
    kept = np.mean([abs(after - before) <= threshold for threshold in (0.5, 1, 2, 4)], axis=0)
    count = partner.sum(axis=1)
    return np.where(count > 0, (kept * partner).sum(axis=1) / np.maximum(count, 1), np.nan)
    ### END SOLUTION


# %%
lddt_ca = pc.check("7.2", lddt_ca)

# %% [markdown]
# The third score is the **TM-score**: superpose so that as many residues as possible come close, and let each count 1 / (1 + (d / d₀)²). A
# residue 40 Å away counts almost nothing instead of almost everything. The scale d₀ = 1.24 (L − 15)^⅓ − 1.8 Å grows with the chain, so that long and short proteins can be compared. Above 0.5 two structures mostly share their fold. `pc.tm_score` searches for the superposition.
#
# A second opinion first: biotite, a well-tested library, has all three.

# %%
import biotite.structure as struc

alpha = pc.structures.alpha_carbons(crystal)
other = alpha.copy()
other.coord = copies["displaced by about 1 Å"].astype("float32")
fitted, _ = struc.superimpose(alpha, other)
print(f"RMSD  here {kabsch_rmsd(other.coord, alpha.coord):.4f} Å, biotite {struc.rmsd(alpha, fitted):.4f} Å")
print(f"lDDT  here {lddt_ca(other.coord, alpha.coord).mean():.4f},   biotite {struc.lddt(alpha, other, aggregation='residue').mean():.4f}")


# %%
def scores(model, native):
    """The three scores of a model [L, 3] of a native structure [L, 3]."""
    return {"lDDT-Cα": float(np.nanmean(lddt_ca(model, native))), "RMSD (Å)": kabsch_rmsd(model, native), "TM": pc.tm_score(model, native)}


pd.DataFrame({name: scores(xyz, ubiquitin) for name, xyz in copies.items()}).T.round(3)

# %% [markdown]
# Read it from the bottom. *Tail*: RMSD explodes; TM and lDDT lose about the share of residues that was moved, and their neighbours. *Mirror image*: **lDDT is perfect**. It compares distances, and a mirror image has them
# all; RMSD and TM see the difference. *Small displacements everywhere*: RMSD and TM take little off, lDDT more, since it is strict about half ångströms. No
# single score is enough, so from here on all three stand side by side.

# %% alt="Two panels along the residues of ubiquitin for the copy whose last ten residues were moved: on the left the distance left after superposition, which is above zero for all residues and highest for the last ten; on the right lDDT per residue, which stays near one except around the moved residues and their former neighbours."
from plmcourse.structures import kabsch

rotation, shift = kabsch(tail, ubiquitin)
residue = np.arange(1, len(ubiquitin) + 1)
fig, axes = plt.subplots(1, 2, figsize=(10, 3.2))
axes[0].bar(residue, np.linalg.norm(tail @ rotation.T + shift - ubiquitin, axis=1), width=1, color=BLUE, linewidth=0)
axes[0].set(xlabel="residue", ylabel="distance left (Å)", title="after superposition")
axes[1].bar(residue, lddt_ca(tail, ubiquitin), width=1, color=BLUE, linewidth=0)
axes[1].set(xlabel="residue", ylabel="lDDT-Cα", title="without superposition", ylim=(0, 1))
for ax in axes:
    ax.axvspan(66.5, 76.5, color="#fbe3c0", zorder=0)

# %% [markdown]
# *Left: the superposition is a compromise, so the 66 untouched residues are off as well. Right: lDDT blames the moved residues (shaded; all but the very end, whose few neighbours moved with it) and those that have lost
# them as neighbours.*
#
# ### The floor
#
# A score of 0.3 means nothing until we know what a *wrong* structure gets. So take two proteins that have nothing to do with each other: each test chain is
# compared with a random training chain (other families, by construction), cut to the same length.

# %%
test_chains = pc.datasets.chains("chains_test")
train_chains = pc.datasets.chains("chains_train")
test_native = [chain["xyz"][:, 1].astype(float) for chain in test_chains]
train_native = [chain["xyz"][:, 1].astype(float) for chain in train_chains]
lengths = [len(xyz) for xyz in test_native]
shared = {chain["cluster"] for chain in train_chains} & {chain["cluster"] for chain in test_chains}
print(f"{len(train_chains)} training chains and {len(test_chains)} test chains of {min(lengths)} to {max(lengths)} residues; shared families: {len(shared)}")

rng, rows = np.random.default_rng(0), []
for native in test_native:
    long_enough = [xyz for xyz in train_native if len(xyz) >= len(native)]
    if long_enough:
        rows.append(scores(long_enough[rng.integers(len(long_enough))][:len(native)], native))
unrelated = pd.DataFrame(rows)


# %%
def with_interval(values, digits=3):
    """Mean over chains and its 95 % interval, as text."""
    mean, low, high = pc.bootstrap_ci(np.mean, values)
    return f"{mean:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


pd.DataFrame({"unrelated proteins": unrelated.apply(with_interval), "largest of all": unrelated.max().map("{:.3f}".format),
              "smallest of all": unrelated.min().map("{:.3f}".format)}).T

# %% [markdown]
# That is the floor under everything that follows. Note how high it lies for lDDT: helices and chain neighbours have the same distances in all proteins, so
# knowing nothing about the fold still scores.

# %% [markdown]
# ## 3. ESMFold, taken apart
#
# transformers has ESMFold's class, `EsmForProteinFolding`. `pc.esmfold.untrained_esmfold()` makes one with the same parts and few, random weights. It
# folds ubiquitin in a moment. The result will be worthless, and every tensor on the way has its proper place: that is what we want to see.

# %%
tiny = pc.esmfold.untrained_esmfold()
with torch.device("meta"):  # the true sizes, without memory for the values
    real = type(tiny)(pc.esmfold.true_configuration())


def count(model, *parts):
    """Parameters in millions of the named parts, or of the whole."""
    modules = [model.get_submodule(part) for part in parts] or [model]
    return sum(p.numel() for module in modules for p in module.parameters()) / 1e6


parts = {"whole": (), "ESM-2": ("esm",), "mix of layers to trunk": ("esm_s_mlp", "embedding"), "trunk blocks": ("trunk.blocks",),
         "structure module": ("trunk.structure_module",), "heads": ("distogram_head", "ptm_head", "lm_head", "lddt_head")}
pd.DataFrame({name: {"tiny, millions": f"{count(tiny, *modules):.3f}", "real, millions": f"{count(real, *modules):,.1f}"}
              for name, modules in parts.items()}).T

# %% [markdown]
# Most of ESMFold is the language model. The trunk adds several hundred millions more; the structure module, which writes the coordinates, is tiny.
#
# Now the recording. PyTorch calls a **forward hook** after each module with its output. Ours stores a copy (some outputs are changed in place later on) and
# returns nothing, since a hook's return value would replace the output.

# %%
WATCHED = {
    "esm": "all layers of ESM-2, with <cls> and <eos>", "esm_s_mlp": "learned mix of the layers, projected",
    "embedding": "amino acid, added to it", "trunk.recycle_s_norm": "sequence state of the last pass",
    "trunk.recycle_z_norm": "pair state of the last pass", "trunk.recycle_disto": "distances of the last pass, embedded",
    "trunk.pairwise_positional_embedding": "separation along the chain",
    "trunk.blocks.0.pair_to_sequence": "pair state -> bias of the attention", "trunk.blocks.0.seq_attention": "attention among residues",
    "trunk.blocks.0.sequence_to_pair": "sequence -> pair state", "trunk.blocks.0.tri_mul_out": "triangle multiplication, outgoing",
    "trunk.blocks.0.tri_mul_in": "triangle multiplication, incoming", "trunk.blocks.0.tri_att_start": "triangle attention, first residue",
    "trunk.blocks.0.tri_att_end": "triangle attention, second residue", "trunk.blocks.0": "the block's two states",
    "trunk.trunk2sm_s": "sequence state for the structure module", "trunk.trunk2sm_z": "pair state for the structure module",
    "trunk.structure_module.ipa": "invariant point attention", "trunk.structure_module.bb_update": "turn and shift of each residue",
    "trunk.structure_module": "atoms after each round", "lddt_head": "bins of lDDT for each of 37 atoms", "ptm_head": "bins of aligned error",
    "distogram_head": "bins of distance",
}


def record(model, sequence):
    """Fold a sequence; the model's output, and the outputs of the watched modules as {name: [one per call]}."""
    found = {name: [] for name in WATCHED}

    def hook_for(name):
        def hook(module, inputs, output):
            if hasattr(output, "items"):  # ESM-2's layers, or the structure module's atoms
                output = output["positions"] if "positions" in output else torch.stack(output["hidden_states"])
            outputs = output if isinstance(output, tuple) else (output,)
            found[name].append([o.detach().clone() for o in outputs])

        return hook

    handles = [model.get_submodule(name).register_forward_hook(hook_for(name)) for name in WATCHED]
    try:
        return model.infer(sequence), found
    finally:
        for handle in handles:
            handle.remove()


folded, tensors = record(tiny, UBIQUITIN)
print(f"{sum(map(len, tensors.values()))} tensors or pairs of tensors from {len(tensors)} modules")

# %% [markdown]
# The table sets each recorded shape beside that of the real ESMFold. The latter is no recording: each axis has a name, the tiny model's values of
# the names must give exactly the recorded shapes (an assert sees to it), and the real configuration's values then give the real ones.

# %%
def axes_of(config, length):
    """What the names of axes stand for in a configuration."""
    trunk = config.esmfold_config.trunk
    structure = trunk.structure_module
    return {"L": length, "L + 2": length + 2, "layers + 1": config.num_hidden_layers + 1, "width": config.hidden_size,
            "c_s": trunk.sequence_state_dim, "c_z": trunk.pairwise_state_dim, "heads": trunk.sequence_state_dim // trunk.sequence_head_width,
            "c_sm": structure.sequence_dim, "c_zm": structure.pairwise_dim, "rounds": structure.num_blocks, "atoms": 14, "bins": 64,
            "37 · 50": 37 * 50, "6": 6}


STATE, PAIR = ("L", "c_s"), ("L", "L", "c_z")
AXES = dict.fromkeys(WATCHED, PAIR) | dict.fromkeys(("esm_s_mlp", "embedding", "trunk.recycle_s_norm", "trunk.blocks.0.seq_attention", "trunk.blocks.0"), STATE)
AXES |= {"esm": ("layers + 1", "L + 2", "width"), "trunk.blocks.0.pair_to_sequence": ("L", "L", "heads"), "trunk.trunk2sm_s": ("L", "c_sm"),
         "trunk.trunk2sm_z": ("L", "L", "c_zm"), "trunk.structure_module.ipa": ("L", "c_sm"), "trunk.structure_module.bb_update": ("L", "6"),
         "trunk.structure_module": ("rounds", "L", "atoms", "3"), "lddt_head": ("rounds", "L", "37 · 50"), "ptm_head": ("L", "L", "bins"),
         "distogram_head": ("L", "L", "bins")}
here, there = (axes_of(model.config, len(UBIQUITIN)) | {"3": 3} for model in (tiny, real))
table = []
for name, calls in tensors.items():
    recorded = [size for size in calls[0][0].squeeze(1 if name in ("esm", "lddt_head", "trunk.structure_module") else 0).shape]
    assert recorded == [here[axis] for axis in AXES[name]], (name, recorded)
    table.append({"module": name, "what": WATCHED[name], "calls": len(calls), "axes": ", ".join(AXES[name]), "tiny": recorded,
                  "real": [there[axis] for axis in AXES[name]]})
shapes = pd.DataFrame(table).set_index("module")
shapes

# %% [markdown]
# (A block returns both states, the table shows the first. The axis of length 1, for one protein in the batch, is left out.) The column "calls" tells how often a
# module ran: the language model once, the trunk's modules several times. More on that in a moment; first the same as a map.

# %% alt="Flow diagram of ESMFold. A sequence enters ESM-2, whose layers are mixed and projected to a sequence state; inside a grey box of trunk blocks the sequence state and the pair state exchange information, the pair state through triangle multiplication and attention; the structure module turns them into atoms, beside it a box names the confidence scores and what they are read from; an orange recycling arrow leads from the structure module back to the start of the trunk. Each box carries the recorded shape and the real one."
from matplotlib.patches import FancyBboxPatch


def box(ax, x, y, w, h, title, text="", colour="#dbe9f6", edge="#4a6f94", size=10.5):
    """A rounded box with a title and, below it, shapes."""
    ax.add_patch(FancyBboxPatch((x, y), w, h, boxstyle="round,pad=0.02,rounding_size=0.1", facecolor=colour, edgecolor=edge, linewidth=1.2))
    of_title, of_text = 0.27 * len(title.splitlines()), 0.23 * len(text.splitlines())  # heights
    top, middle = y + (h + of_title + of_text) / 2, x + w / 2
    ax.text(middle, top, title, ha="center", va="top", fontsize=size, weight="bold", color="#202020")
    ax.text(middle, top - of_title, text, ha="center", va="top", fontsize=9, color="#303030")


def arrow(ax, *points, colour="#404040", width=1.6):
    """A line through points, with a head at the last."""
    ax.plot(*zip(*points[:-1]), color=colour, linewidth=width, solid_capstyle="butt")
    ax.annotate("", points[-1], points[-2], arrowprops={"arrowstyle": "-|>", "color": colour, "linewidth": width, "shrinkA": 0, "shrinkB": 0})


def both(name):
    """Recorded shape of a module, and below it the real one."""
    return f"{shapes['tiny'][name]}\nreal {shapes['real'][name]}"


blocks = {model: len(model.trunk.blocks) for model in (tiny, real)}
PEACH, GREEN, YELLOW = ("#fde5c8", "#b57a1d"), ("#d8eedd", "#3f7f52"), ("#fff5c2", "#a08a1c")
fig, ax = plt.subplots(figsize=(11.5, 6.3))
ax.set(xlim=(0, 14.4), ylim=(-0.25, 7.7))
ax.axis("off")
box(ax, 0.1, 6.35, 2.3, 1.1, "sequence", f"{len(UBIQUITIN)} residues", "#f0f0f0", "#707070")
box(ax, 3.1, 6.35, 3.2, 1.1, "ESM-2, frozen", both("esm"))
box(ax, 7.0, 6.35, 3.5, 1.1, "learned mix of all layers", both("esm_s_mlp"))
ax.add_patch(FancyBboxPatch((0.1, 1.15), 10.4, 4.45, boxstyle="round,pad=0.02,rounding_size=0.15", facecolor="#f4f4f4", edgecolor="#9a9a9a"))
ax.text(3.1, 5.28, f"trunk: {blocks[tiny]} blocks, real {blocks[real]}", fontsize=11, weight="bold", va="center")
box(ax, 0.4, 3.75, 2.5, 1.15, "sequence state s", both("trunk.recycle_s_norm"))
box(ax, 0.4, 1.45, 2.5, 1.15, "pair state z", both("trunk.recycle_z_norm"), *PEACH)
box(ax, 4.0, 3.75, 2.7, 1.15, "attention", "among residues,\nbias from z")
box(ax, 7.9, 3.75, 2.3, 1.15, "MLP", "per residue")
box(ax, 4.0, 1.45, 1.75, 1.15, "triangle\nmultiply × 2", "", *PEACH, size=10)
box(ax, 6.2, 1.45, 1.75, 1.15, "triangle\nattention × 2", "", *PEACH, size=10)
box(ax, 8.4, 1.45, 1.8, 1.15, "MLP", "per pair", *PEACH)
box(ax, 11.2, 2.5, 3.1, 1.6, "structure module", f"{tiny.trunk.structure_module.config.num_blocks} rounds, real {there['rounds']}\n" + both("trunk.structure_module"), *GREEN)
box(ax, 11.2, 5.1, 3.1, 1.35, "confidence", "pLDDT per atom, and from\nthe pair state: PAE, pTM", *YELLOW)
for start, end in (((2.45, 6.9), (3.05, 6.9)), ((6.35, 6.9), (6.95, 6.9)), ((2.95, 4.32), (3.95, 4.32)), ((6.75, 4.32), (7.85, 4.32)),
                   ((2.95, 2.02), (3.95, 2.02)), ((5.8, 2.02), (6.15, 2.02)), ((8.0, 2.02), (8.35, 2.02)), ((10.25, 4.2), (11.15, 3.6)),
                   ((10.25, 2.15), (11.15, 2.9)), ((12.75, 4.15), (12.75, 5.05))):
    arrow(ax, start, end)
arrow(ax, (8.75, 6.3), (8.75, 5.95), (1.65, 5.95), (1.65, 4.95))
arrow(ax, (1.65, 2.65), (1.65, 3.35), (5.35, 3.35), (5.35, 3.7), colour=PEACH[1])
ax.text(1.85, 3.12, "z → s: bias", fontsize=9.5, color=PEACH[1], va="center")
arrow(ax, (9.05, 3.7), (9.05, 3.0), (3.45, 3.0), (3.45, 2.1), colour=BLUE)
ax.text(8.9, 3.22, "s → z: products and differences", fontsize=9.5, color=BLUE, va="center", ha="right")
arrow(ax, (12.75, 2.45), (12.75, 0.45), (1.65, 0.45), (1.65, 1.1), colour="#d55e00", width=2)
ax.text(7.2, 0.15, f"recycling: s, z and the distances of the last pass; {len(tensors['trunk.structure_module'])} passes in all", color="#d55e00",
        fontsize=10.5, ha="center", va="center");

# %% [markdown]
# *ESMFold as it ran a moment ago. Blue: what each residue knows. Orange: what each pair knows. Recorded shapes first, real ones below. The pair state starts from nothing but the separation along the chain. The **triangle** updates are the idea that
# makes distances consistent: what is known of i–k and of j–k bears on i–j, since the three points form a triangle.*
#
# > **The lecture says** that ESM-2's embeddings go into a structure module. **The model says** that three things lie between. It takes *all* layers,
# > mixed with learned weights (the first row of the table), of a language model that stayed frozen. Then comes the trunk, hundreds of millions of parameters that
# > were trained on structures. And the whole runs several times, on its own output.
# >
# > **The lecture's code** is fair-esm's `esmfold_v1()`. It needs OpenFold, a CUDA compiler and an old Python. The class used here needs none of
# > these; its weights are the same.

# %%
weights = tiny.esm_s_combine.softmax(0)
print(f"weights of the layers before training: {weights.tolist()}; the real model has {real.esm_s_combine.numel()} of them")
print(f"max_recycles = {tiny.trunk.config.max_recycles}; the structure module was called {len(tensors['trunk.structure_module'])} times")

# %% [markdown]
# The name `max_recycles` misleads: 4 means four *passes*, of which three are recycles.
#
# ### What does recycling do?
#
# Each pass gets the last one's two states and distances. We let three random models make twelve passes, compare what each pass is given by the one before, and look at how much the pair
# state still changes, and how far the Cα atoms move.

# %%
rows = []
for seed in range(3):
    model = pc.esmfold.untrained_esmfold(seed)
    model.trunk.config.max_recycles = 12
    _, of_pass = record(model, UBIQUITIN)
    pair = [norm[0] for norm in of_pass["trunk.recycle_z_norm"]][1:]  # normalised; in the first pass there is nothing to recycle
    atoms = [atoms[0][-1, 0, :, 1].numpy() for atoms in of_pass["trunk.structure_module"]]
    for number in range(1, len(pair)):
        change = (pair[number] - pair[number - 1]).norm() / pair[number - 1].norm()
        rows.append({"model": f"seed {seed}", "pass": number + 1, "pair": change.item(), "moved": kabsch_rmsd(atoms[number], atoms[number - 1])})
passes = pd.DataFrame(rows)

# %% alt="Two line plots against the number of the pass, three random models each: relative change of the pair state since the pass before, and RMSD of the C-alpha atoms to those of the pass before in ångström."
fig, axes = plt.subplots(1, 2, figsize=(10, 3.4))
for ax, column, label in zip(axes, ("pair", "moved"), ("change of the pair state, relative", "Cα moved since the pass before (Å)")):
    sns.lineplot(passes, x="pass", y=column, hue="model", style="model", markers=True, dashes=False, palette="colorblind", ax=ax, legend=ax is axes[1])
    ax.axvline(4, color="#404040", linestyle="--", linewidth=1)
    ax.set(xlabel="pass", ylabel=label, ylim=(0, None), xticks=range(2, 12, 2))
axes[1].legend(title=None);

# %% [markdown]
# *Dashed: where ESMFold stops by default. A curve that falls is on the way to a state that reproduces itself.*
#
# Recycling is a search for a fixed point: does the structure, fed back, come out again? Where these curves fall, a model that knows nothing is on its way to one as
# well. So **settling is no sign of being right**. What makes recycling useful is training: ESMFold's trunk was trained with a random number of passes, and learned to improve
# what it gets.
#
# And the structure of ubiquitin?

# %%
random_xyz = folded["positions"][-1, 0, :, 1].numpy().astype(float)
pd.DataFrame({"random ESMFold": scores(random_xyz, ubiquitin), "mean of unrelated proteins": unrelated.mean()}).T.round(3)

# %%
step = np.linalg.norm(np.diff(random_xyz, axis=0), axis=1)
print(f"from one Cα to the next: {step.min():.1f} to {step.max():.1f} Å (a protein: 3.8)")

# %% [markdown]
# **These coordinates are random.** In lDDT and TM they do not reach the floor of unrelated proteins, which are at least proteins. (RMSD grows with the
# length of a chain, and the floor is a mean over longer ones: no comparison.) The architecture alone knows
# nothing, not even how long a bond is: it is all in the weights.

# %% [markdown]
# ## 4. How sure is the model?
#
# ESMFold writes three claims about itself:
#
# * **pLDDT**, per atom: the lDDT it expects. For each atom 50 bins of lDDT get a probability, and pLDDT is the mean over the bins.
# * **PAE**, per *ordered* pair, in Å: superpose model and native at residue i alone; how far off is residue j expected to be?
# * **pTM**: the TM-score that follows from the PAE.

# %%
print("pLDDT", list(folded["plddt"].shape), f"atoms from {folded['plddt'].min():.2f} to {folded['plddt'].max():.2f}")
print("PAE  ", list(folded["predicted_aligned_error"].shape), f"mean {folded['predicted_aligned_error'].mean():.1f} Å, largest possible {folded['max_predicted_aligned_error']:.2f} Å")
print(f"pTM   {folded['ptm']:.2f}")

# %% [markdown]
# The tiny model is sure of nothing: all atoms near the middle of the scale. Still, the numbers travel as in the real one. A PDB file has no
# column for confidence, so predictors put it where crystallographers have the B-factor:

# %%
pdb_text = tiny.output_to_pdb(folded)[0]
print("\n".join(line for line in pdb_text.splitlines() if line.startswith("ATOM"))[:730])

# %% [markdown]
# The last number of a line is the confidence. Two things can go wrong. Each **atom** has its own, and the number that is meant for the residue is that of
# its Cα. And the **scale**: transformers writes 0 to 1, AlphaFold's database and fair-esm's ESMFold write 0 to 100. A viewer that colours by "above 70 is
# good" paints the whole protein in the worst colour if it gets the wrong one.
#
# > **The lecture's** tool writes pLDDT from 0 to 100. **The class says** 0 to 1, in its output and in its PDB text. `pc.fold` writes 0 to 100.
#
# ### Exercise 7.3 · Confidence from a PDB file · ◆ · 10 minutes
#
# A reader that works for both.


# %%
def read_confidence(pdb_text):
    """pLDDT of each residue, from 0 to 100, out of the B-factor column of a PDB file.

    One value per residue, that of its C-alpha atom, in the order of the file; all chains count. Calcium ions are called CA as well,
    but their element is CA and not C. Of several models the first is read; of a C-alpha with alternate locations the first counts.
    If no C-alpha of the file has a value above 1, the file runs from 0 to 1, and all values are multiplied by 100; otherwise all
    stay as they are.

    Parameters
    ----------
    pdb_text : str
        The text of the file. Its columns are fixed, and neighbouring ones may touch without a blank.
        ``PDBFile.read(io.StringIO(pdb_text))`` reads it, and ``.get_structure(model=1, extra_fields=["b_factor"])`` gives its atoms
        with ``atom_name``, ``element`` and ``b_factor``.

    Returns
    -------
    float array, shape [L]
        From 0 to 100.

    Raises
    ------
    ValueError
        If there is no C-alpha atom, or one of the values lies outside 0 to 100.
    """
    ### BEGIN SOLUTION
    atoms = PDBFile.read(io.StringIO(pdb_text)).get_structure(model=1, extra_fields=["b_factor"])
    values = atoms.b_factor[(atoms.atom_name == "CA") & (atoms.element != "CA")]
    if len(values) == 0 or values.min() < 0 or values.max() > 100:
        raise ValueError(f"expected C-alpha atoms with values from 0 to 100, got {values}")
    return values * 100 if values.max() <= 1 else values
    ### END SOLUTION


# %%
read_confidence = pc.check("7.3", read_confidence)

# %%
as_percent = tiny.output_to_pdb({**folded, "plddt": 100 * folded["plddt"]})[0]
small, large = read_confidence(pdb_text), read_confidence(as_percent)
print(f"from the 0-1 file   {small[:5].round(1)} ...")
print(f"from the 0-100 file {large[:5].round(2)} ...  largest difference {abs(small - large).max():.2f}: two decimals of 1 are all that the first file has")

# %% [markdown]
# What no reader can know is whether the column holds a confidence at all. Here it reads the **crystal structure**, whose B-factors say how far atoms
# are smeared out, so that *high* means uncertain:

# %%
crystal_file = PDBFile()
crystal_file.set_structure(crystal)
values = read_confidence(str(crystal_file))
order = np.argsort(values)
print(f"'confidence' of the crystal: {values.min():.0f} to {values.max():.0f}, mean {values.mean():.0f}")
print("least 'confident' residues:", sorted((order[:5] + 1).tolist()), " most 'confident':", sorted((order[-5:] + 1).tolist()))

# %% [markdown]
# The flexible tail gets the best marks, and the well-ordered interior the worst. No error, no warning: you have to know where a file comes from.
#
# ### What PAE sees and pLDDT does not
#
# Two ubiquitins in one chain, as cells make them: linear diubiquitin. Each half is rigid, and how they lie to each other is not fixed. Suppose
# a model gets both halves right and turns the second by 120°. We build that from two copies, and compute the true values of what pLDDT and PAE predict.
# PAE's definition needs a frame for each residue, made from its N, Cα and C atoms.

# %%
def frames(backbone):
    """A rotation [L, 3, 3] per residue (rows are axes) and its origin [L, 3], from N, CA, C [L, 3, 3]."""
    n, ca, c = np.moveaxis(backbone, 1, 0)
    x = (c - ca) / np.linalg.norm(c - ca, axis=-1, keepdims=True)
    y = (n - ca) - ((n - ca) * x).sum(-1, keepdims=True) * x
    y /= np.linalg.norm(y, axis=-1, keepdims=True)
    return np.stack([x, y, np.cross(x, y)], axis=1), ca


def seen_from(backbone):
    """Where residue i sees the Cα of residue j: [i, j, 3]."""
    axes, origin = frames(backbone)
    return np.einsum("iab,ijb->ija", axes, origin[None] - origin[:, None])


def aligned_error(model, native):
    """Error of residue j in Å when the two structures are superposed at residue i: [i, j]."""
    return np.linalg.norm(seen_from(model) - seen_from(native), axis=-1)


half = np.stack([crystal.coord[crystal.atom_name == name] for name in ("N", "CA", "C")], axis=1).astype(float)
reach = half[-1, 1] + [3.8, 0, 0]  # the second copy begins where the first ends
native_pair = np.concatenate([half, half - half[0, 1] + reach])
angle = np.deg2rad(120)
about_x = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
model_pair = np.concatenate([half, (half - half[0, 1]) @ about_x.T + reach])
pd.DataFrame({"second half turned": scores(model_pair[:, 1], native_pair[:, 1])}).T.round(3)

# %% alt="Left, lDDT along the 152 residues of diubiquitin, near one except around the joint. Right, map of the aligned error in ångström: two dark squares on the diagonal for the two halves and bright squares off the diagonal."
fig, axes = plt.subplots(1, 2, figsize=(10, 3.7), gridspec_kw={"width_ratios": [1.3, 1]})
axes[0].plot(np.arange(1, 153), lddt_ca(model_pair[:, 1], native_pair[:, 1]), color=BLUE)
axes[0].set(xlabel="residue", ylabel="lDDT-Cα", ylim=(0, 1.02), title="what pLDDT predicts")
drawn = axes[1].imshow(aligned_error(model_pair, native_pair), cmap="viridis", vmin=0, extent=(0.5, 152.5, 152.5, 0.5))
axes[1].set(xlabel="residue j", ylabel="superposed at residue i", title="what PAE predicts")
fig.colorbar(drawn, ax=axes[1], label="error of j (Å)");

# %% [markdown]
# *Left: each residue but those at the joint has its surroundings right, so lDDT is high. Right: within a half all is well; between the halves nothing is. A PAE map with dark blocks and lighter
# corners says "two domains, I do not know how they lie to each other". Anyone who measures distances between the domains of a structure with high pLDDT should look at it first.*

# %% [markdown]
# ## 5. From distances to coordinates
#
# Now a folding model of our own. It will predict distances, and distances are no coordinates yet. **Classical multidimensional scaling** (MDS) gets from one to the other
# in closed form. If the coordinates x are centred at the origin, then subtracting row and column means from the squared distances leaves the inner products,
#
# $$-\tfrac12\,\big(d_{ij}^2 - \overline{d_{i\cdot}^2} - \overline{d_{\cdot j}^2} + \overline{d_{\cdot\cdot}^2}\big) = x_i \cdot x_j$$
#
# and the eigenvectors of that matrix, each times the root of its eigenvalue, are coordinates. For distances that come from three dimensions exactly three eigenvalues are
# not 0.

# %%
squared = distances(ubiquitin) ** 2
inner = -0.5 * (squared - squared.mean(0) - squared.mean(1)[:, None] + squared.mean())
print("largest eigenvalues (Å²):", np.linalg.eigvalsh(inner)[::-1][:6].round(3) + 0.0)

# %% [markdown]
# ### Left or right?
#
# A structure and its mirror image have the same distances, so distances cannot tell them apart; MDS returns one of the two by chance. But proteins consist of
# L-amino acids, and their helices are right-handed. In a Cα trace that shows in the **pseudo-dihedral**: the torsion angle around the middle bond of four
# Cα in a row. The mirror image has the same angles with the opposite sign.

# %% alt="Two histograms of pseudo-dihedral angles in degrees: natural chains with a tall peak near plus fifty for helices and a broad one around minus 170 for strands; the mirror images have the same shape reflected at zero."
natural = np.rad2deg(np.concatenate([pseudo_dihedrals(xyz) for xyz in train_native]))
fig, ax = plt.subplots(figsize=(7.5, 3.2))
ax.hist(natural, bins=72, range=(-180, 180), color=BLUE, alpha=0.75, label="training chains")
ax.hist(-natural, bins=72, range=(-180, 180), histtype="step", color=ORANGE, linewidth=2, label="their mirror images")
ax.set(xlabel="pseudo-dihedral (°)", ylabel="number of angles", xticks=range(-180, 181, 60))
ax.legend(loc="upper left", bbox_to_anchor=(0.34, 1));

# %% [markdown]
# *The tall peak are helices. Each angle is weak evidence for one hand; a chain has many.* `pc.handedness(xyz)` adds up their log-odds, natural against mirrored, as counted on the
# training chains: above 0 means natural.

# %%
hands = np.array([pc.handedness(xyz) for xyz in test_native])
print(f"test chains with handedness above 0: {(hands > 0).sum()} of {len(hands)}; the weakest has {hands.min():.0f}, the median is {np.median(hands):.0f}")
print(f"ubiquitin {pc.handedness(ubiquitin):.1f}, its mirror image {pc.handedness(copies['mirror image']):.1f}")

# %% [markdown]
# ### Exercise 7.4 · Coordinates from distances · ◆◆◆ · 30 minutes
#
# MDS, and of the two mirror images the natural one.


# %%
def coordinates_from_distances(distances):
    """Coordinates of residues from their distances, by classical multidimensional scaling, with the natural hand.

    Squared distances, centred in rows and columns, are −2 times the inner products of the coordinates measured from their centre.
    The three largest eigenvalues and their eigenvectors give the coordinates; a negative eigenvalue counts as 0. Of the two mirror
    images, the one with ``pc.handedness(xyz)`` above 0 is returned (0 for fewer than four residues: either will do).

    Parameters
    ----------
    distances : float array, shape [L, L], in Å
        L is 1 or more. Predicted distances need not fit into three dimensions. The matrix stays unchanged.

    Returns
    -------
    float array, shape [L, 3], in Å
        Three columns for one or two residues as well. Where they lie and how they are turned is free.

    Raises
    ------
    ValueError
        If the matrix is not square, not symmetric, not zero on the diagonal, or holds a value that is negative or not finite.
    """
    ### BEGIN SOLUTION
    square = np.ndim(distances) == 2 and len(distances) == len(distances.T)
    if not square or not np.allclose(distances, distances.T) or np.diag(distances).any() or not (distances >= 0).all():
        raise ValueError("expected a square, symmetric matrix of distances with zeros on the diagonal")
    squared = distances**2
    inner = -0.5 * (squared - squared.mean(axis=0) - squared.mean(axis=1, keepdims=True) + squared.mean())
    values, vectors = np.linalg.eigh(inner)
    xyz = np.zeros((len(distances), 3))
    xyz[:, : len(values)] = vectors[:, -3:] * np.sqrt(np.maximum(values[-3:], 0))
    if pc.handedness(xyz) < 0:
        xyz = -xyz
    return xyz
    ### END SOLUTION


# %%
coordinates_from_distances = pc.check("7.4", coordinates_from_distances)

# %% [markdown]
# On the native distances of all test chains it should give back the structure:

# %%
rebuilt = [coordinates_from_distances(distances(native)) for native in test_native]
off = np.array([kabsch_rmsd(xyz, native) for xyz, native in zip(rebuilt, test_native)])
off_either = np.array([min(kabsch_rmsd(xyz, native), kabsch_rmsd(xyz * [1, 1, -1], native)) for xyz, native in zip(rebuilt, test_native)])
print(f"RMSD up to reflection: at most {off_either.max():.0e} Å;  right hand: {(off < 1e-6).sum()} of {len(off)} chains")

# %% [markdown]
# And with wrong distances? Each pair gets an independent Gaussian error. As a contrast, distances that know only the chain: for each pair the **mean distance
# of all training pairs with that separation**.

# %%
def mean_by_separation(structures, longest):
    """Mean Cα distance in Å at each separation along the chain, from 0 to ``longest``; far ones pooled."""
    apart, far = [], []
    for xyz in structures:
        i, j = np.triu_indices(len(xyz), 1)
        apart.append(np.minimum(j - i, folding.FAR))
        far.append(distances(xyz)[i, j])
    mean = pd.Series(np.concatenate(far)).groupby(np.concatenate(apart)).mean()
    return np.array([0, *mean])[np.minimum(np.arange(longest + 1), folding.FAR)]


by_separation = mean_by_separation(train_native, max(lengths))
rng, rows = np.random.default_rng(0), []
for native in test_native:
    position = np.arange(len(native))
    guess = coordinates_from_distances(by_separation[abs(position[:, None] - position)])
    rows.append({"error": "mean by separation"} | scores(guess, native))
    noise = np.triu(rng.normal(size=(len(native),) * 2), 1)
    for sigma in (0.5, 1, 2, 4, 8):
        noisy = np.maximum(distances(native) + sigma * (noise + noise.T), 0)
        rows.append({"error": sigma} | scores(coordinates_from_distances(noisy), native))
by_error = pd.DataFrame(rows)
by_error.groupby("error", sort=False).agg(with_interval)

# %% [markdown]
# Compare the error of the distances with the RMSD. Independent errors of a few Å **average out**: each residue has L − 1 distances, and three numbers to be found. The
# first row's distances are not noisy at all, just the same for every protein, and they give no structure. So a model's distances may be vague; what they must
# not be is wrong in the same way everywhere, or empty.
#
# ## 6. A folding head that learns
#
# Our model has ESMFold's parts in miniature: ESM-2's embeddings (per residue) and attention maps (per pair); a head that makes a pair state of them, and of each pair
# state a distogram; and a search for coordinates that agree with it. Here is the head, all of it:

# %%
print(inspect.getsource(folding.FoldingHead))

# %% [markdown]
# * `neighbours` lets each residue see two on either side.
# * The pair state z adds up what is known: both ends, their product, the mean over the stretch between them, its length, and the attention between them. There are no
#   triangles.
# * `prior` is the **separation-only baseline**: how often each distance occurs at each separation. The last layer starts at zero, so before training the head *is* the
#   baseline, and all that it learns is a correction.
#
# It gets principal components of the features, and is trained by cross-entropy on 60 chains. A second head gets the same features from an ESM-2 with **random
# weights**: it sees which residue stands where, through a random network. What the first knows beyond that comes from pretraining.

# %%
sequences = [chain["sequence"] for chain in train_chains]
prior = folding.separation_prior(train_native)
models = {"random features": pc.untrained(seed=0), "ESM-2 features": plm}
heads, features, losses = {}, {}, {}
for name, model in models.items():
    features[name] = folding.Features(model, sequences)
    torch.manual_seed(0)
    heads[name] = folding.FoldingHead(prior)
    examples = [(*features[name](sequence), xyz) for sequence, xyz in zip(sequences, train_native)]
    losses[name] = folding.fit_head(heads[name], examples, epochs=SIZES["epochs"])
with torch.no_grad():
    baseline_loss = np.mean([folding.distogram_loss(folding.FoldingHead(prior).eval(), *example).item() for example in examples])
del examples
print(f"a head has {sum(p.numel() for p in heads[name].parameters()):,} parameters; loss on the training chains after the first and the last epoch (nats):")
print(f"  separation only  {baseline_loss:.3f}")
print("\n".join(f"  {name:16} {values[0]:.3f} {values[-1]:.3f}" for name, values in losses.items()))

# %% [markdown]
# (An untrained head has the loss of the separation-only baseline: see the first line.)
#
# Now test chains (on a CPU not all of them). All four rows go through the same search for coordinates, `folding.fold_distogram`: MDS on the expected distances, then gradient steps,
# first towards those distances that are certain, then up the expected lDDT, while the chain stays a chain. In four lines:
#
# 1. MDS on the expected distances;
# 2. gradient steps on Σ (d − expected)² / variance, so that pairs in doubt hardly count;
# 3. gradient steps up `folding.expected_lddt`, the lDDT that the distogram expects of a structure, with soft thresholds first;
# 4. in step 3 also penalties: bonds that are not 3.8 Å long, residues closer than 4 Å; at the end the natural hand.
#
# The fourth row of the table gets the **native** distances, as a distogram without doubt: the ceiling of the search itself.

# %%
NEAR = folding.CENTRES < 8  # bins of a contact: Cα closer than 8 Å


def native_distogram(native):
    """All probability in the bin of the native distance: Tensor [L, L, bins]."""
    return torch.nn.functional.one_hot(folding.distance_bins(native), len(folding.CENTRES)).float()


def distograms(sequence, native):
    """The distogram of each method for a protein."""
    found = {"separation only": prior[folding.separation(len(native))].softmax(-1)}
    found |= {name: folding.distogram(head, *features[name](sequence)) for name, head in heads.items()}
    return found | {"native distances": native_distogram(native)}


def judge(probabilities, xyz, native):
    """All scores of a distogram and of the structure made from it."""
    ranked = (probabilities * NEAR).sum(-1).numpy()
    return scores(xyz, native) | {"P@L, long": pc.precision_at_l(ranked, distances(native) < 8, min_separation=24)}


# %%
from tqdm.auto import tqdm

rows, predictions = [], []
for chain, native in zip(tqdm(test_chains[:SIZES["folded"]], desc="folding", mininterval=1), test_native):
    made = {}
    for name, probabilities in distograms(chain["sequence"], native).items():
        made[name] = folding.fold_distogram(probabilities, steps=SIZES["steps"])
        rows.append({"chain": chain["id"], "features": name} | judge(probabilities, made[name], native))
        if name == "ESM-2 features":
            ours = probabilities
    expect = {name: folding.expected_lddt(ours, xyz).numpy() for name, xyz in (made | {"native": native}).items()}
    predictions.append({"id": chain["id"], "xyz": made["ESM-2 features"], "expected": expect, "made": made,
                        "actual": {name: lddt_ca(xyz, native) for name, xyz in made.items()}})
results = pd.DataFrame(rows)
results.drop(columns="chain").groupby("features", sort=False).agg(with_interval)

# %% [markdown]
# Means over the test chains with 95 % intervals. P@L is the precision of the L most probable contacts at separation 24 and more, as in notebook 8, but between **Cα** atoms; the native
# row shows that some chains do not have L such contacts.
#
# The intervals are wide because proteins differ: a small helical one is easier for every method. But all methods fold the *same* chains. The question "is one better?" is
# about the **difference on each chain**, and that varies much less.

# %% alt="Four interval plots of paired differences per chain, in lDDT, TM-score, long-range precision and RMSD: random features against separation only in grey, ESM-2 features against separation only, and ESM-2 against random features; a dashed line marks no difference."
METRICS = {"lDDT-Cα": "lDDT-Cα", "TM": "TM-score", "P@L, long": "long-range P@L", "RMSD (Å)": "RMSD (Å)"}
by_chain = results.pivot(index="chain", columns="features")
COMPARED = {"baseline: random − separation": ("random features", "separation only"), "ESM-2 − separation": ("ESM-2 features", "separation only"),
            "ESM-2 − random": ("ESM-2 features", "random features")}
fig, axes = plt.subplots(1, 4, figsize=(12.5, 2.4), sharey=True)
for ax, (metric, label) in zip(axes, METRICS.items()):
    gains = {name: pc.bootstrap_ci(np.mean, by_chain[metric][one] - by_chain[metric][other]) for name, (one, other) in COMPARED.items()}
    pc.plots.intervals(gains, f"difference in {label}", 0, ax)
    ax.locator_params(axis="x", nbins=3)
    print(f"{label:15} " + "   ".join(f"{name.removeprefix('baseline: ')} {{:+.3f}} [{{:+.3f}}, {{:+.3f}}]".format(*values) for name, values in gains.items()))

# %% [markdown]
# *Paired differences, means over chains with 95 % intervals. Where an interval does not touch the dashed line, the order of the two methods is supported by these chains, even if
# their intervals in the table overlap. Of RMSD less is better: does it agree with the other three? Far from the native structure it counts how compact a chain is, and little else.*
#
# Two separate questions. **Is it better than the baselines?** The figure says. **Is it a fold?** TM above 0.5 says:

# %%
folds = (by_chain["TM"] > 0.5).sum()[results["features"].unique()]
print("\n".join(f"{name:17} {number} of {len(by_chain)} chains with TM > 0.5" for name, number in folds.items()))
print(f"mean TM of ESM-2 features {by_chain['TM']['ESM-2 features'].mean():.2f}, of unrelated proteins {unrelated['TM'].mean():.2f}, of a shared fold at least 0.50")

# %% [markdown]
# (Which language model these features come from is printed at the top: the embedded checkpoint, Meta's weights, or a larger model.) If hardly a chain passes, say so: **a significant gain over a baseline can still be far from a structure.** With a small language model that is what to expect; what the head needs to get there
# is measured in section 7, where the search gets its share of the blame.
#
# Here is one protein, hen egg-white lysozyme, chosen before anything was computed: what the head believes, and what is there.

# %% alt="Three square maps of lysozyme side by side: expected distances of the separation-only baseline, with nothing but a band along the diagonal; expected distances of the folding head; and native distances."
number = next(n for n, chain in enumerate(test_chains) if chain["id"] == "2VB1_A")
lysozyme, native = test_chains[number]["sequence"], test_native[number]
believed = distograms(lysozyme, native)
fig, axes = plt.subplots(1, 3, figsize=(11.5, 3.6), sharey=True)
for ax, (name, title) in zip(axes, {"separation only": "separation only, expected", "ESM-2 features": "ESM-2 features, expected", "native distances": "native"}.items()):
    drawn = distance_map(ax, distances(native) if title == "native" else (believed[name] * folding.CENTRES).sum(-1), title)
fig.colorbar(drawn, ax=axes, label="Cα–Cα distance (Å)")
axes[0].set_ylabel("residue");

# %% [markdown]
# *Expected distances are means over the distogram, and a mean of doubt is a middling distance. Look for what the middle map has beyond the left one: patches away from the
# diagonal would be the fold. (The sharp corners on the left: from 64 residues on, separations are treated alike.)*

# %% alt="Distograms of two pairs of lysozyme as bar charts of probability over distance, for the separation-only baseline and for the folding head, with a vertical line at the native distance: a pair four residues apart, and a pair far apart along the chain that touches."
i_far, j_far = np.triu_indices(len(native), 24)
closest = distances(native)[i_far, j_far].argmin()
pairs = {"four apart": (29, 33), "far apart, in contact": (int(i_far[closest]), int(j_far[closest]))}
width = np.diff(np.concatenate([[1.5], folding.EDGES, [80]]))
fig, axes = plt.subplots(1, 2, figsize=(10, 3.2))
for ax, (title, (i, j)) in zip(axes, pairs.items()):
    for name, colour in (("separation only", GREY), ("ESM-2 features", BLUE)):
        ax.plot(folding.CENTRES, believed[name][i, j].numpy() / width, color=colour, label=name)
    ax.axvline(distances(native)[i, j], color="#c03000", linestyle="--", label="native")
    ax.set(title=f"{title}: residues {i + 1} and {j + 1}", xlabel="Cα–Cα distance (Å)", ylabel="probability per Å", xlim=(2, 50))
axes[1].legend();

# %% [markdown]
# *Two entries of the distogram. Does the blue curve move towards the dashed line, or away from it? For neighbours along the chain the head can tell helix from strand, and be wrong; for a pair far
# apart it would have to know the fold. Two pairs decide nothing: the loss over all pairs and the paired differences above do.*

# %% alt="Superposition of the predicted structure of lysozyme, coloured by expected lDDT, with the native trace in grey, and below it a strip of the expected lDDT along the residues."
prediction = predictions[number]
print({name: round(value, 2) for name, value in scores(prediction["xyz"], native).items()})
pc.show(prediction["xyz"], prediction["expected"]["ESM-2 features"], other=native, label="expected lDDT")

# %% [markdown]
# *The prediction in colour, the native chain ("second structure") in grey. Mind the ends of the colour scale. Does the chain run through space as the grey one does? The three scores above the picture answer the same questions.*
#
# ### Does the head know how good it is?
#
# The colour was the head's own opinion: from its distogram follows how many distances of a structure should hold, `folding.expected_lddt`. That is our pLDDT, and since the native structures
# are known, it can be checked. **Calibrated** means: residues with expected lDDT 0.5 have 0.5 on average.

# %%
def reliability(structure_from, bins=8):
    """Expected and actual lDDT per residue in equally filled bins, for the structures of one method."""
    expected = np.concatenate([k["expected"][structure_from] for k in predictions])
    actual = np.concatenate([k["actual"][structure_from] for k in predictions])
    member = np.digitize(expected, np.quantile(expected, np.arange(1, bins) / bins))
    return pd.DataFrame({"bin": member, "expected": expected, "actual": actual}).groupby("bin").agg(
        expected=("expected", "mean"), actual=("actual", "mean"), residues=("actual", "size"))


def overconfidence(structure_from):
    """Expected minus actual lDDT, mean over chains, with its interval, as text."""
    return with_interval([k["expected"][structure_from].mean() - np.nanmean(k["actual"][structure_from]) for k in predictions])


own = reliability("ESM-2 features")
own.round(3)

# %% alt="Left, scatter of the expected against the actual mean lDDT, one dot per test chain, with the diagonal. Right, reliability curves per residue: mean actual against mean expected lDDT in bins, for the structure optimised by the head and for structures made without it, with the diagonal as a dashed line."
reach = 0.05 + max(np.nanmean(k["actual"]["ESM-2 features"]) for k in predictions)
fig, axes = plt.subplots(1, 2, figsize=(10, 4.2))
axes[0].scatter([k["expected"]["ESM-2 features"].mean() for k in predictions], [np.nanmean(k["actual"]["ESM-2 features"]) for k in predictions], s=22, color=BLUE)
axes[0].set(title="chains", xlabel="expected lDDT, mean of the chain", ylabel="actual lDDT, mean of the chain")
for name, label, colour, mark in (("ESM-2 features", "structure of this head", BLUE, "o"), ("random features", "structure of the other head", ORANGE, "s"),
                                  ("separation only", "structure of the baseline", GREY, "^")):
    curve = reliability(name)
    axes[1].plot(curve["expected"], curve["actual"], marker=mark, color=colour, label=label)
axes[1].set(title="residues, in bins of equal size", xlabel="expected lDDT, mean of the bin", ylabel="actual lDDT, mean of the bin")
for ax in axes:
    ax.plot([0, 1], [0, 1], "--", color="#404040", linewidth=1)
    ax.set(xlim=(0.15, reach), ylim=(0.15, reach))
axes[1].legend(loc="upper left");

# %%
rho = pc.spearman_ci([k["expected"]["ESM-2 features"].mean() for k in predictions], [np.nanmean(k["actual"]["ESM-2 features"]) for k in predictions])
print("ranking of chains by expected lDDT: Spearman {:.2f} [{:.2f}, {:.2f}]".format(*rho))
print("expected minus actual lDDT, by the ESM-2 head's distogram:")
for name in ("ESM-2 features", "random features", "separation only"):
    print(f"  structure from {name:16} {overconfidence(name)}")
gap = [k["expected"]["ESM-2 features"].mean() - k["expected"]["native"].mean() for k in predictions]
print(f"the head's expectation for its own structure minus that for the native one: {with_interval(gap)}")

# %% [markdown]
# *Below the dashed line: overconfident. The three curves are judged by the **same** distogram; they differ in where the structures came from.* How to read it:
#
# * **Intervals that contain 0**, points on the line: no overconfidence is shown; the head is calibrated as far as these chains can tell.
# * **All three structures off by about as much, and clearly**: then the distogram itself is too sure of what it says. It was learned from 60 chains.
# * **Its own structures off by more than the others**: then because they were *searched for with this very number as the aim*. Wherever the distogram errs in favour of some arrangement, the search
#   finds it. A score that is optimised is no longer a measurement.
# * **The last line** compares two structures under the head's opinion: its own, and the true one. A head in doubt likes a compromise better than any single possibility, the truth
#   included. So a high expected lDDT means "agrees with what I believe", and not "is right".
#
# ESMFold learns its pLDDT as a separate head, on structures that it has made, so all this is in its training data. Ranking is less touched: an overconfident number can still say
# which of two proteins came out better (see the Spearman line, and its interval).

# %% [markdown]
# ## 7. What would better features buy?
#
# How good would distances have to be? We can find out without a better model: take the native distances, **forget most of them**, and put the separation prior in their
# place. Two kinds of partial knowledge:
#
# * **contacts**: for every pair only a yes or no, "closer than 8 Å", or 12, or 15;
# * **few distances**: the exact distance, but only for a random share of the pairs.
#
# And two ways to look for coordinates. The one from section 6, and a very different one: treat known pairs as roads, let every unknown distance be the **shortest path** along them, and scale the
# result (MDS). Information and search are two things, and a bad structure may be the fault of either.

# %%
from scipy.sparse.csgraph import shortest_path

prior_of = {length: prior[folding.separation(length)].softmax(-1) for length in set(lengths)}


def only_contacts(native, cutoff):
    """The prior, told for each pair whether it is closer than the cutoff (Å)."""
    near = torch.tensor(distances(native) < cutoff)[..., None]
    told = prior_of[len(native)] * torch.where(near, folding.CENTRES < cutoff, folding.CENTRES > cutoff)
    return told / told.sum(-1, keepdim=True)


def only_some(native, known):
    """The prior, with the native distance where ``known`` [L, L] says so."""
    return torch.where(torch.tensor(known)[..., None], native_distogram(native), prior_of[len(native)])


def along_paths(roads):
    """Coordinates from the lengths of known pairs [L, L] in Å, 0 where nothing is known."""
    roads, i = roads.copy(), np.arange(len(roads) - 1)
    roads[i, i + 1] = roads[i + 1, i] = folding.BOND
    return coordinates_from_distances(shortest_path(roads, directed=False))


SHARES, CUTOFFS, SEARCHES = (0.03, 0.1, 0.3), (8, 12, 15), ("search of section 6", "shortest paths")
chosen = [n for n, length in enumerate(lengths[:SIZES["folded"]]) if length <= 150][:SIZES["degraded"]]
rng, rows = np.random.default_rng(0), []
for n in tqdm(chosen, desc="degraded", mininterval=1):
    native, told = test_native[n], {}
    for cutoff in CUTOFFS:  # a contact is taken to be three quarters of the cutoff long
        told[f"contacts < {cutoff} Å, yes or no"] = only_contacts(native, cutoff), 0.75 * cutoff * (distances(native) < cutoff) * (1 - np.eye(len(native)))
    for share in SHARES:
        known = np.triu(rng.random((len(native),) * 2) < share, 1)
        told[f"{share:.0%} of the distances"] = only_some(native, known | known.T), np.where(known | known.T, distances(native), 0)
    for name, (probabilities, roads) in told.items():
        for search, xyz in zip(SEARCHES, (folding.fold_distogram(probabilities, SIZES["steps"]), along_paths(roads))):
            rows.append({"known": name, "search": search} | scores(xyz, native))
same_chains = results[results["chain"].isin([test_chains[n]["id"] for n in chosen]) & (results["features"] != "random features")]
rows += [{"known": name, "search": SEARCHES[0]} | values for name, *numbers in same_chains[["features", "lDDT-Cα", "RMSD (Å)", "TM"]].itertuples(index=False)
         for values in [dict(zip(("lDDT-Cα", "RMSD (Å)", "TM"), numbers))]]
degraded = pd.DataFrame(rows)
print(f"{len(chosen)} chains of at most 150 residues")
degraded.groupby(["known", "search"], sort=False).agg(with_interval)

# %% alt="Two dot plots with intervals, lDDT and TM-score, one line for each kind of partial knowledge from separation only through the ESM-2 head, shares of the distances and contact maps to all native distances; blue dots for the search of section 6, orange squares for shortest paths."
order = ["separation only", "ESM-2 features", *dict.fromkeys(name for name in degraded["known"] if "distances" in name and name != "native distances"),
         *dict.fromkeys(name for name in degraded["known"] if name.startswith("contacts")), "native distances"]
fig, axes = plt.subplots(1, 2, figsize=(11, 3.8), sharey=True)
for ax, (metric, label) in zip(axes, (("lDDT-Cα", "lDDT-Cα"), ("TM", "TM-score"))):
    for search, colour, mark, shift in zip(SEARCHES, (BLUE, ORANGE), "os", (-0.12, 0.12)):
        for name, values in degraded[degraded["search"] == search].groupby("known")[metric]:
            mean, low, high = pc.bootstrap_ci(np.mean, values)
            ax.plot([low, high], [order.index(name) + shift] * 2, color=colour, linewidth=2)
            ax.plot(mean, order.index(name) + shift, mark, color=colour)
        ax.plot([], [], mark, color=colour, label=search)
    ax.set(xlabel=label, xlim=(0, 1.02), ylim=(len(order) - 0.5, -0.5))
axes[1].axvline(0.5, color="#404040", linestyle="--", linewidth=1)
axes[0].set_yticks(range(len(order)), order)
axes[1].legend(loc="upper right");

# %% [markdown]
# *Means over the same chains with 95 % intervals; dashed: TM 0.5, about where a shared fold begins.* Three things to read:
#
# * **How much knowledge is enough?** Where either mark passes the dashed line, the fold is there, although most distances were never told. The triangle inequality supplies
#   the rest. How far does a yes-or-no contact map go, with no distance at all? That is why contact prediction (notebook 8) was the road to structure.
# * **How good is our search?** Compare the two panels: a search that gets the neighbourhoods right (lDDT) can still miss the fold (TM). Where a square lies right of the dot in the TM panel, the information was there and the search of section 6 missed it. It weighs pairs by how
#   certain they are, but it takes each pair by itself, and all those of which nothing is known still vote for what the prior expects of them. On the row "native distances" it looked flawless: a ceiling measured with perfect input says little
#   about doubtful input.
# * **Where is the ESM-2 head?** Compare its row with the shares of exact distances.
#
# Random gaps are kind: a real model's errors lie together, in the parts of the protein that it did not understand.
# And how often did a structure of section 6 come out as its mirror image?

# %%
wrong_hand = []
for name, group in pd.DataFrame([(k["id"], name, kabsch_rmsd(xyz, test_native[n]), kabsch_rmsd(xyz * [1, 1, -1], test_native[n]))
                                 for n, k in enumerate(predictions) for name, xyz in k["made"].items()], columns=["chain", "features", "as is", "mirrored"]).groupby("features", sort=False):
    wrong_hand.append({"features": name, "mirror image fits better": f"{(group['mirrored'] < group['as is']).sum()} of {len(group)}"})
pd.DataFrame(wrong_hand).set_index("features")

# %% [markdown]
# For structures that are no folds either image fits about equally badly, so about half of them is what chance gives; for a good model this number is near 0.

# %% [markdown]
# ## 8. ESMFold itself
#
# The real model needs 8.4 GB of weights and more memory than that. `pc.fold` looks first whether this machine has it, and otherwise says in one sentence what is
# missing. Both are expected here, so the cell catches these two errors, and only these. Nothing is downloaded unless you say so: set `FETCH` to True, and an online
# machine fetches the weights once.

# %%
print(f"memory for {len(UBIQUITIN)} residues: {pc.esmfold.memory_needed(len(UBIQUITIN)) / 1e9:.1f} GB, for 500: {pc.esmfold.memory_needed(500) / 1e9:.1f} GB")
FETCH = False  # True downloads 8.4 GB, once
fold = None
try:
    fold = pc.fold(UBIQUITIN, fetch=FETCH)
except (MemoryError, FileNotFoundError) as error:
    print(error)

# %% alt="Where ESMFold could run: its structure of ubiquitin coloured by pLDDT, and below it the map of predicted aligned errors in ångström."
if fold is not None:
    print({name: round(value, 2) for name, value in scores(ca_coordinates(fold.pdb), ubiquitin).items()})
    print(f"pLDDT {read_confidence(fold.pdb).mean():.1f} (expected lDDT x 100), pTM {fold.ptm:.2f}")
    pc.show(fold.pdb, "plddt")
    fig, ax = plt.subplots(figsize=(4.6, 3.8))
    fig.colorbar(ax.imshow(fold.pae, cmap="viridis", vmin=0, vmax=32), ax=ax, label="predicted error of j (Å)")
    ax.set(xlabel="residue j", ylabel="superposed at residue i")

# %% [markdown]
# Where it runs, read the result with the tools of this notebook. The three scores compare it with the crystal; pLDDT / 100 should lie near the lDDT, pTM near the TM-score. Ubiquitin is
# an easy case: its relatives are in every training set, of the language model and of the trunk. For a protein without relatives the scores and the confidence both fall.
#
# > **The lecture says** that ESMFold shows the patterns of sequences to be enough for structure. **The model says** that sequences alone were not all: the trunk was trained
# > on hundreds of thousands of experimental structures, and on millions that AlphaFold2 had predicted. What it shows is how *little* has to be added to a language model that is large
# > enough. How much of it is in yours, section 6 has measured.

# %% [markdown]
# ## Discussion
#
# * Our head looks at pairs one by one. Which errors in its distogram could a triangle update notice, and which not?
# * A loop of twelve residues has pLDDT 35. Is the model bad there, or is the protein disordered there? What would you look at?
# * You may spend one week on better features or on a better search for coordinates. Which, and which rows of the figure in section 7 decide?
# * Structures of relatives of your protein were in the trunk's training set. What does a high TM-score then show, and what would a fair test look like?
#
# ## Quiz
#
# 1. Two models of a protein: A has RMSD 9 Å and lDDT 0.85, B has RMSD 6 Å and lDDT 0.45. Which do you take to design a mutation in the active site, and why?
# 2. A paper introduces a method that reaches lDDT 1.0 on every protein, from distances. Which question do you ask first?
# 3. A file coloured by pLDDT comes up in one colour, the worst, from end to end. The model's authors report a mean of 88. What happened?
# 4. The intervals of two methods overlap in the table. A reviewer concludes that they do not differ. What do you answer?
# 5. You improve a structure until its expected lDDT rises from 0.5 to 0.7. How much better is it?

# %% [markdown] tags=["solution"]
# ### Answers
#
# 1. A. Its surroundings are right almost everywhere, and one part lies wrong: section 2, the row "last ten residues 20 Å away" and the figure below it. Look first whether the active site is in
#    that part, or between two domains (section 4, the PAE map).
# 2. "And the mirror image?" lDDT is blind to it (section 2, the row of the mirror image). Ask for RMSD or TM.
# 3. The scale: values from 0 to 1 read as 0 to 100 (section 4, the two files). 0.88 counts as below 50.
# 4. That both were scored on the same chains, so the difference per chain is what counts: section 6, the figure of paired differences. An overlap of two separate intervals decides nothing.
# 5. Unknown, perhaps not at all: the number was the aim of the search, and says how well the structure agrees with what the head believes. Section 6, the printed lines: how much the head
#    prefers its own structure to the native one.

# %% [markdown]
# ## References
#
# * Lin Z. et al. (2023) Evolutionary-scale prediction of atomic-level protein structure with a language model. *Science* 379:1123. (ESM-2 and ESMFold)
# * Jumper J. et al. (2021) Highly accurate protein structure prediction with AlphaFold. *Nature* 596:583. (structure module, triangle updates, pLDDT, PAE, pTM)
# * Yang J. et al. (2020) Improved protein structure prediction using predicted interresidue orientations. *PNAS* 117:1496. (trRosetta: from distograms to structures)
# * Mariani V. et al. (2013) lDDT: a local superposition-free score for comparing protein structures and models using distance difference tests. *Bioinformatics* 29:2722.
# * Zhang Y., Skolnick J. (2004) Scoring function for automated assessment of protein structure template quality. *Proteins* 57:702. (TM-score)
# * Kabsch W. (1976) A solution for the best rotation to relate two sets of vectors. *Acta Crystallographica* A32:922.
# * Torgerson W. (1952) Multidimensional scaling: I. Theory and method. *Psychometrika* 17:401.
# * Vijay-Kumar S., Bugg C., Cook W. (1987) Structure of ubiquitin refined at 1.8 Å resolution. *Journal of Molecular Biology* 194:531. (1UBQ)

# %%
pc.progress(7)
