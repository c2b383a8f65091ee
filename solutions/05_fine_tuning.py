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
# # 5 · Fine-tuning: how much of the model to train
#
# ESM-2 has read many proteins and was never told where one of them works or how it folds. To make it answer such a question we put a small
# **head** on top and train with labelled examples. One decision remains: does the model below, the **backbone**, stay as it is, or may it learn
# too? This notebook tries the answers on two tasks, and measures what each costs and what it gains.
#
# **You will be able to**
#
# * put a head on ESM-2 for whole proteins and for single residues, with labels where they belong;
# * choose which layers learn, and prove that no others do;
# * train with a validation set, early stopping and class weights, and read the curves;
# * score a classifier so that rare classes count, with an interval that is honest about proteins;
# * say what of the gain comes from pretraining, what it costs in forgetting, and what a bad split would have claimed.
#
# **Before you start**: notebook 3 (pooling, splits by family). The course follows a lecture on protein language models; boxes that begin
# "The lecture says" compare its statements with what the model does. **Time**: about 3 hours with the exercises; the code itself runs in two to three
# minutes. **Difficulty**: ◆ to ◆◆.
#
# | word | means here |
# |---|---|
# | backbone | ESM-2 without its language-model head: tokens in, one vector per token out |
# | head | the few new layers that turn vectors into one number (logit) per class |
# | frozen, thawed | a parameter that does not learn, and one that does |
# | epoch | one pass over the training set |
# | recall, precision | of a class's members, the share that was found; of those that were given its name, the share that deserve it |
# | macro-F1 | F1 (the harmonic mean of precision and recall) of each class, averaged over classes: rare ones count as much as common ones |
# | AdamW, learning rate | the optimizer that turns gradients into changes of the weights, and how large its changes are |
# | validation set | proteins that decide when to stop, and are neither trained on nor tested on |
# | MCC | Matthews' correlation: 1 perfect, 0 no better than chance |
# | Q3 | share of residues whose state (helix, strand, other) is right |

# %%
import importlib.util
import subprocess
import sys

if importlib.util.find_spec("plmcourse") is None:  # on Colab; a local installation has it already
    subprocess.check_call([sys.executable, "-m", "pip", "install", "--quiet", "{{install}}"])

import copy
import dataclasses
import inspect
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import psutil
import seaborn as sns
import torch
from torch import nn

import plmcourse as pc

pc.plots.use_course_style()
plm = pc.load()
depth, dim = plm.config.num_hidden_layers, plm.config.hidden_size
print(f"{psutil.virtual_memory().available / 1e9:.0f} GB of memory free · PyTorch {torch.__version__.split('+')[0]}")

# %% [markdown]
# Training costs three times as much as reading, so on a CPU everything below works on a subset: few proteins, and only their first residues. With a GPU
# the same cells take the full sets. All sizes stand here, and nowhere else.

# %%
on_cpu = plm.device.type == "cpu"
SIZES = {
    "proteins": (120, 50, 220) if on_cpu else (6390, 714, 1825),  # localisation: train, validation, test, at most
    "first residues": 40 if on_cpu else 510,
    "chains": (36, 16, 60) if on_cpu else (420, 60, 120),  # secondary structure: train, validation, test
    "chain residues": 64 if on_cpu else 510,
    "epochs": (4, 4) if on_cpu else (8, 12),  # at most, for the two tasks
    "seeds": (1, 2) if on_cpu else (3, 3),
    "tokens per batch": 512 if on_cpu else 4096,  # small batches: with few proteins an epoch must still hold enough steps
    "pool": 500 if on_cpu else 3000,  # proteins for the learning curve of section 8
    "split": 360 if on_cpu else 2000,  # proteins in section 11
    "forgetting": 16 if on_cpu else 140,  # proteins of each kind in section 10
}
# learning rates, found by a few tries at these sizes: a new head may take larger steps than layers that have something to lose
RATES = {0: 3e-3, 2: 5e-4, depth: 5e-4} if on_cpu else {0: 1e-3, 2: 3e-4, depth: 1e-4}

# %% [markdown]
# ## 1. Two tasks
#
# **Localisation**: in which of five places does a protein work? One label per protein, from Swiss-Prot. **Secondary structure**: is a residue part of
# a helix, of a strand, or of neither? One label per residue, from crystal structures. In both, training, validation and test proteins come from
# different families (notebook 3 showed why), and no two test proteins here share one: so they can count as independent draws.

# %%
table = pc.datasets.load("localisation")
table["sequence"] = table["sequence"].str[:SIZES["first residues"]]
PLACES = sorted(table["label"].unique())
STATES = ["helix", "strand", "other"]
THREE_STATE = {"H": 0, "G": 0, "I": 0, "E": 1, "B": 1}  # DSSP's eight states to three; everything else is "other"


def one_per_family(part, n, seed=0):
    """Up to ``n`` rows of a part of the localisation table, at most one of each family."""
    return table[table["split"] == part].sample(frac=1, random_state=seed).drop_duplicates("cluster").head(n)


parts = dict(zip(("train", "validation", "test"), SIZES["proteins"]))
proteins = {part: one_per_family(part, n) for part, n in parts.items()}
pd.DataFrame({part: rows["label"].value_counts() for part, rows in proteins.items()}).loc[PLACES]

# %% [markdown]
# The places are far from equally frequent. Keep an eye on the rarest.

# %%
def crop(chain):
    """Sequence and three-state labels of the first residues of a chain."""
    stop = SIZES["chain residues"]
    return chain["sequence"][:stop], np.array([THREE_STATE.get(letter, 2) for letter in chain["ss"][:stop]])


n_train, n_validation, n_test = SIZES["chains"]
known = [crop(chain) for chain in pc.datasets.chains("secondary_structure_train")[:n_train + n_validation]]
chains = {"train": known[:n_train], "validation": known[n_train:],
          "test": [crop(chain) for chain in pc.datasets.chains("secondary_structure_test")[:n_test]]}
sequence, states = chains["test"][0]
print(sequence)
print("".join("HE-"[state] for state in states))
for part, members in chains.items():
    joined = np.concatenate([states for _, states in members])
    print(f"{part:10} {len(members):3} chains, {len(joined):,} residues:",
          ", ".join(f"{name} {share:.0%}" for name, share in zip(STATES, np.bincount(joined, minlength=3) / len(joined))))

# %% [markdown]
# `pc.examples` turns sequences and labels into what the training loop takes: pairs of tokens and label.

# %%
place_labels = {part: [PLACES.index(label) for label in rows["label"]] for part, rows in proteins.items()}
localisation = {part: pc.examples(plm, rows["sequence"].tolist(), place_labels[part]) for part, rows in proteins.items()}
structure = {part: pc.examples(plm, *zip(*members)) for part, members in chains.items()}
true_places = np.array(place_labels["test"])
true_states = [states for _, states in chains["test"]]
print("tokens per epoch:", {name: sum(len(tokens) for tokens, _ in task["train"]) for name, task in
                            {"localisation": localisation, "secondary structure": structure}.items()})

# %% [markdown]
# ### What costs nothing
#
# Before any model, the scores to beat. For places: always the commonest one, and a logistic regression on the **composition**, the share of each amino
# acid. For states: always the commonest, and a logistic regression on a **window** of 15 letters around the residue. All four learn from the same training
# proteins, cut to the same residues, as the models below; where these are cut short, a third baseline may count the letters of the whole protein.

# %%
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def composition(sequence):
    """Share of each standard residue, shape [20]."""
    return np.array([sequence.count(letter) for letter in pc.RESIDUES]) / len(sequence)


def windows(sequence, reach=7):
    """One-hot letters of each residue and of ``reach`` neighbours on each side, shape [L, 20 · (2 · reach + 1)]."""
    letters = np.pad([pc.RESIDUES.find(r) for r in sequence], reach, constant_values=-1)  # -1 finds no letter, as beyond the ends
    one_hot = letters[:, None] == np.arange(20)
    return np.concatenate([one_hot[shift:shift + len(sequence)] for shift in range(2 * reach + 1)], axis=1).astype(float)


def linear(x, y, c=0.1, balanced=True):
    """A logistic regression: a linear head, trained to the end. A small ``c`` keeps its weights small; ``balanced`` weighs classes as section 6 explains."""
    model = LogisticRegression(C=c, max_iter=2000, class_weight="balanced" if balanced else None)
    return make_pipeline(StandardScaler(), model).fit(x, y)


def by_composition(sequences):
    """Places that a composition classifier predicts; ``sequences`` is a dict with the sequences of each part."""
    x = {part: np.array([composition(s) for s in own]) for part, own in sequences.items()}
    return linear(x["train"], place_labels["train"]).predict(x["test"])


place_runs = {"baseline: commonest": [np.full(len(true_places), np.bincount(place_labels["train"]).argmax())],
              "baseline: composition": [by_composition({part: rows["sequence"] for part, rows in proteins.items()})]}
if on_cpu:
    whole = pc.datasets.load("localisation").set_index("id")["sequence"]
    uncut = {part: whole[rows["id"]] for part, rows in proteins.items()}
    place_runs["baseline: composition, whole protein"] = [by_composition(uncut)]

# %%
x, y = np.concatenate([windows(s) for s, _ in chains["train"]]), np.concatenate([states for _, states in chains["train"]])
window_model = linear(x, y, c=0.01)
state_runs = {"baseline: commonest": [[np.full(len(states), np.bincount(y).argmax()) for states in true_states]],
              "baseline: window of 15": [[window_model.predict(windows(s)) for s, _ in chains["test"]]]}

# %% [markdown]
# How good these are, we say when we can score properly (section 7).
#
# ## 2. A head for whole proteins
#
# The backbone gives one vector per token. A classifier of proteins needs one vector per protein, then one number per class. The whole of it is three
# steps: backbone, mean over the residues, linear layer. In front of the linear layer stands **dropout**: in training a random tenth of the mean's numbers is
# set to zero (and the rest scaled up), so that the head does not lean on any single one. In use, nothing is dropped.
#
# ### Exercise 5.1 · A sequence classifier · ◆◆ · 20 minutes


# %%
class SequenceClassifier(nn.Module):
    """One label per protein, from the mean of its residue vectors.

    Parameters
    ----------
    backbone : transformers.EsmModel
        Such as ``plm.model.esm``; its hidden size is ``backbone.config.hidden_size``. Kept as it is: no copy, nothing frozen.
        ``backbone(tokens, attention_mask=...).last_hidden_state`` has shape [proteins, tokens, dim].
    classes : int
    dropout : float
        Share of numbers dropped before the last linear layer: in training mode only, which ``model.train()`` and
        ``model.eval()`` switch on and off.

    Attributes
    ----------
    backbone : the given one
    head : nn.Module, [..., dim] to [..., classes]
        Holds all that is new.
    """

    def __init__(self, backbone, classes, dropout=0.1):
        super().__init__()
        ### BEGIN SOLUTION
        self.backbone = backbone
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(backbone.config.hidden_size, classes))
        ### END SOLUTION

    def forward(self, tokens):
        """Token ids [proteins, tokens] to logits [proteins, classes], without softmax.

        Ids: 0 ``<cls>``, 1 ``<pad>``, 2 ``<eos>``, residues 4 to 28. Padding must be hidden from the backbone. ``pc.mean_pool(hidden,
        tokens)`` is the function of exercise 3.2.
        """
        ### BEGIN SOLUTION
        hidden = self.backbone(tokens, attention_mask=tokens != 1).last_hidden_state
        return self.head(pc.mean_pool(hidden, tokens).to(hidden.dtype))
        ### END SOLUTION


# %%
SequenceClassifier = pc.check("5.1", SequenceClassifier)

# %% [markdown]
# A head that has not learned anything yet gives all proteins nearly the same row. It has its whims about classes, from its random start, and none about proteins:

# %%
torch.manual_seed(0)
model = SequenceClassifier(copy.deepcopy(plm.model.esm), len(PLACES)).to(plm.device).eval()
tokens, labels = pc.training.collate(localisation["test"][:4])
with torch.no_grad():
    chances = model(tokens).softmax(-1).cpu()
pd.DataFrame(chances.numpy(), columns=PLACES).style.format(precision=2)

# %% [markdown]
# ### The mean, or the first token?
#
# > **The lecture's head** reads the mean of all positions. **transformers'** `EsmForSequenceClassification` does not: its head takes the vector of
# > token 0 and nothing else. Here is its code.

# %%
from transformers import EsmForSequenceClassification, EsmForTokenClassification
from transformers.models.esm.modeling_esm import EsmClassificationHead

print(inspect.getsource(EsmClassificationHead.forward))

# %% [markdown]
# In BERT the first token was trained to stand for the whole text. In ESM-2 it was not: the loss was taken at masked residues only, so nothing ever
# asked `<cls>` (in some places called `<s>`) to hold a summary. Attention may have put one there all the same. So we measure: the backbone stays as it is, and a
# linear head is trained on each of the two vectors. They are computed once; more training proteins than elsewhere cost little then.


# %%
def protein_vectors(sequences):
    """Vector of ``<cls>`` and mean over the residues for each protein: two arrays [proteins, dim]."""
    firsts, means = np.zeros((len(sequences), dim)), np.zeros((len(sequences), dim))
    for rows in pc.embeddings.batches([len(s) + 2 for s in sequences], plm.tokens_per_batch):
        tokens = plm.tokenize([sequences[i] for i in rows])
        with torch.no_grad():
            hidden = plm.model.esm(tokens, attention_mask=tokens != 1).last_hidden_state
        firsts[rows], means[rows] = hidden[:, 0].float().cpu(), pc.mean_pool(hidden, tokens).cpu()
    return firsts, means


pool = one_per_family("train", SIZES["pool"])
pool_labels = np.array([PLACES.index(label) for label in pool["label"]])
pool_first, pool_mean = protein_vectors(pool["sequence"].tolist())
test_first, test_mean = protein_vectors(proteins["test"]["sequence"].tolist())
heads = {"linear head on the mean": [linear(pool_mean, pool_labels, 0.01).predict(test_mean)],
         "linear head on token 0": [linear(pool_first, pool_labels, 0.01).predict(test_first)]}

# %% [markdown]
# The third contestant is transformers' own model with its own two-layer head. We build it from the configuration and copy our weights in; `from_pretrained`
# would do the same and warn that the head is new. As the backbone is frozen, its head, too, can be trained on the stored vectors of token 0.

# %%
config = copy.deepcopy(plm.config)
config.num_labels = len(PLACES)
torch.manual_seed(0)
theirs = EsmForSequenceClassification(config).to(plm.device, plm.dtype)
theirs.esm.load_state_dict(plm.model.esm.state_dict())
theirs.esm.requires_grad_(False)
weights = torch.tensor(len(pool_labels) / (len(PLACES) * np.bincount(pool_labels, minlength=len(PLACES))))  # section 6 says why
stored = torch.tensor(pool_first)[:, None].to(plm.device, plm.dtype)  # [proteins, 1 token, dim]
optimizer = torch.optim.AdamW(theirs.classifier.parameters(), lr=1e-3, weight_decay=0.1)
for _ in range(150):
    logits = theirs.classifier(stored).float()
    loss = nn.functional.cross_entropy(logits, torch.tensor(pool_labels, device=plm.device), weights.to(logits))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
heads["transformers' head on token 0"] = [np.array([p.argmax() for p in pc.predict(theirs, localisation["test"])])]


# %%
def tell(comparison):
    """A table of ``pc.compare`` for reading: intervals beside the values, the best in bold, and what the difference allows to say."""
    rows = {}
    for name, row in comparison.iterrows():
        is_baseline = row["difference"] == row["difference_low"] == row["difference_high"] == 0
        verdict = "better" if row["difference_low"] > 0 else "worse" if row["difference_high"] < 0 else "not decided"
        rows[name] = {"macro-F1": "{:.3f}  ({:.3f} to {:.3f})".format(*row[["score", "low", "high"]]), "seeds": int(row["seeds"]),
                      "difference": "–" if is_baseline else "{:+.3f}  ({:+.3f} to {:+.3f})".format(
                          *row[["difference", "difference_low", "difference_high"]]),
                      "verdict": "compared with" if is_baseline else verdict}
    best = comparison["score"].idxmax()
    return pd.DataFrame(rows).T.style.apply(lambda c: ["font-weight: bold" if name == best else "" for name in c.index])


tell(pc.compare(true_places, heads, len(PLACES), baseline="linear head on token 0"))

# %% [markdown]
# Brackets are 95 % intervals, here and below. The last two columns are about the **difference** to one row, on the same test proteins; "not decided" means that
# its interval contains 0, and then the order of the two rows may be luck. This is how every table of this notebook is to be read. Bold is the largest number,
# not a winner.
#
# Mean or first token? If the mean is "better", that is the reason to use it; if it is "not decided", the mean is at least no worse, and every residue has a say in it.
#
# The last two rows read the same vector. If even they differ, the shape of the head and how long it was trained matter, too: a larger head learns a small
# training set by heart sooner.
#
# ## 3. A head for each residue
#
# Now every residue gets its own answer. The class is simpler than before, since nothing is averaged. What needs care are the labels: a protein of L
# residues has L labels and L + 2 tokens, and in a batch there is padding. PyTorch's cross-entropy leaves out positions labelled −100. So the labels
# become a rectangle like the tokens, with −100 wherever there is no residue.

# %% alt="Boxes for the tokens of the proteins MKTAY and MK in one batch: cls, residues, eos and padding; the residues are framed."
tokens = plm.tokenize(["MKTAY", "MK"])
pc.plots.token_strip(tokens, marked={(row, column) for row, column in (tokens >= 4).nonzero().tolist()});

# %% [markdown]
# *Framed: the tokens that have a label. All others get −100.*
#
# ### Exercise 5.2 · A residue classifier and its labels · ◆◆ · 25 minutes


# %%
class ResidueClassifier(nn.Module):
    """One label per residue, from its own vector.

    Parameters
    ----------
    backbone, classes, dropout
        As in ``SequenceClassifier``.

    Attributes
    ----------
    backbone, head
        As in ``SequenceClassifier``.
    """

    def __init__(self, backbone, classes, dropout=0.1):
        super().__init__()
        ### BEGIN SOLUTION
        self.backbone = backbone
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(backbone.config.hidden_size, classes))
        ### END SOLUTION

    def forward(self, tokens):
        """Token ids [proteins, tokens] to logits [proteins, tokens, classes], without softmax.

        There is a row for every token; those of ``<cls>``, ``<eos>`` and padding mean nothing and are left to the labels.
        """
        ### BEGIN SOLUTION
        hidden = self.backbone(tokens, attention_mask=tokens != 1).last_hidden_state
        return self.head(hidden)
        ### END SOLUTION


def align_labels(labels, tokens):
    """Put residue labels where the residues are.

    Parameters
    ----------
    labels : list of int arrays, shape [L] each
        One array per protein.
    tokens : LongTensor, shape [proteins, tokens]
        Ids 4 to 28 are residues.

    Returns
    -------
    LongTensor, shape [proteins, tokens]
        The labels at their residues, -100 everywhere else.

    Raises
    ------
    ValueError
        If a protein has another number of labels than of residues, or there are not as many arrays as proteins.
    """
    ### BEGIN SOLUTION
    if len(labels) != len(tokens):
        raise ValueError(f"labels for {len(labels)} proteins, tokens of {len(tokens)}")
    is_residue = (tokens >= 4) & (tokens <= 28)
    aligned = torch.full_like(tokens, -100)
    for i, own in enumerate(labels):
        if len(own) != is_residue[i].sum():
            raise ValueError(f"protein {i} has {int(is_residue[i].sum())} residues and {len(own)} labels")
        aligned[i, is_residue[i]] = torch.as_tensor(own, dtype=torch.long, device=tokens.device)
    return aligned
    ### END SOLUTION


# %%
ResidueClassifier, align_labels = pc.check("5.2", ResidueClassifier, align_labels)

# %%
aligned = align_labels([[0, 0, 1, 1, 2], [2, 2]], tokens)
for row, own in zip(tokens.tolist(), aligned.tolist()):
    print("  ".join(f"{pc.sequences.TOKENS[t]:>5}" for t in row))
    print("  ".join(f"{label:>5}" for label in own))

# %% [markdown]
# > **The lecture's** token classifier returns logits for `<cls>`, `<eos>` and padding as well, and never says what becomes of them. With labels of 0 there
# > instead of −100, every protein would teach the model two helix residues that do not exist, and padding, where lengths differ, many more:

# %%
whole_chains = pc.datasets.chains("secondary_structure_train")[:n_train]
lengths = np.array([len(chain["sequence"]) for chain in whole_chains])
helix = sum(THREE_STATE.get(letter) == 0 for chain in whole_chains for letter in chain["ss"])
phantom = (lengths.max() + 2 - lengths).sum()
print(f"{n_train} whole chains of all lengths in one batch, the worst case: {helix:,} helix residues, and {phantom:,} tokens that are no residue")

# %% [markdown]
# transformers has such a class as well. With the head copied over, it computes what yours computes:

# %%
torch.manual_seed(0)
mine = ResidueClassifier(copy.deepcopy(plm.model.esm), 3).to(plm.device, plm.dtype).eval()
config = copy.deepcopy(plm.config)
config.num_labels = 3
theirs = EsmForTokenClassification(config).to(plm.device, plm.dtype).eval()
theirs.esm.load_state_dict(plm.model.esm.state_dict())
last_linear = [layer for layer in mine.head.modules() if isinstance(layer, nn.Linear)][-1]
if last_linear.in_features == dim:  # a head of several layers has no counterpart there
    theirs.classifier.load_state_dict(last_linear.state_dict())
    with torch.no_grad():
        difference = (mine(tokens) - theirs(input_ids=tokens, attention_mask=tokens != 1).logits).abs().max().item()
    print(f"largest difference of a logit: {difference:.6f}")
    assert difference < 1e-4

# %% [markdown]
# ## 4. What to thaw
#
# Between "only the head learns" and "everything learns" lies every number of layers, counted from the top: the last layers are the most specialised, and
# behind them stands one LayerNorm that belongs to them.
#
# ### Exercise 5.3 · Thaw · ◆◆ · 15 minutes
#
# The trap is the state that the model is in. A function that only opens never closes.


# %%
def thaw(model, last_n):
    """Make the head and the last encoder layers trainable, and nothing else.

    Parameters
    ----------
    model : SequenceClassifier or ResidueClassifier
        Changed in place, whatever was trainable before. Its layers are ``model.backbone.encoder.layer``, the LayerNorm behind
        the last one is ``model.backbone.encoder.emb_layer_norm_after``.
    last_n : int
        How many of the last layers learn, and with them (if any do) that LayerNorm. 0 is a frozen backbone. The embedding always
        stays frozen, the head always learns.

    Returns
    -------
    the same model

    Raises
    ------
    ValueError
        If ``last_n`` is negative or larger than the number of layers.
    """
    ### BEGIN SOLUTION
    encoder = model.backbone.encoder
    depth = len(encoder.layer)
    if not 0 <= last_n <= depth:
        raise ValueError(f"last_n is {last_n}: this backbone has {depth} layers")
    model.requires_grad_(False)
    model.head.requires_grad_(True)
    for layer in encoder.layer[depth - last_n:]:
        layer.requires_grad_(True)
    encoder.emb_layer_norm_after.requires_grad_(last_n > 0)
    return model
    ### END SOLUTION


# %%
thaw = pc.check("5.3", thaw)


# %%
def count(model):
    """Trainable and all parameters."""
    sizes = [(p.requires_grad, p.numel()) for p in model.parameters()]
    return sum(n for trains, n in sizes if trains), sum(n for _, n in sizes)


rows = {}
for last_n in sorted({0, 1, 2, depth}):
    trainable, total = count(thaw(model, last_n))
    rows[last_n] = {"trainable": f"{trainable:,}", "share": f"{trainable / total:.2%}"}
pd.DataFrame(rows).T.rename_axis("last_n")

# %% [markdown]
# Do exactly these parameters learn? Run one batch backwards and look at who got a gradient. (In PyTorch a frozen parameter has none, `None`, rather than zeros.)

# %%
tokens, labels = pc.training.collate(localisation["train"][:4])
for last_n in (0, 2, depth):
    model.zero_grad()
    nn.functional.cross_entropy(thaw(model, last_n)(tokens), labels).backward()
    got = {name for name, p in model.named_parameters() if p.grad is not None}
    wanted = {name for name, p in model.named_parameters() if p.requires_grad}
    assert got == wanted
    print(f"last_n = {last_n}: {len(got)} tensors are trainable, and these and no others got a gradient")

# %% [markdown]
# > **The lecture** gives 10–20 GB as the memory for fine-tuning 650M. Count it: AdamW in float32 keeps 16 bytes for a parameter that learns (weight,
# > gradient, two running means) and 4 for one that does not. Look up 650M below. Activations come on top, more of them the longer the proteins and the larger the
# > batch.

# %%
rows = {}
for name, size in pc.FAMILY.items():
    block = 12 * size.dim**2 + 13 * size.dim
    for label, layers in (("frozen", 0), ("last 2 layers", 2), ("all layers", size.layers)):
        trained = layers * block + (2 * size.dim if layers else 0) + 5 * (size.dim + 1)
        rows.setdefault(name, {})[label] = f"{(4 * size.parameters + 12 * trained) / 1e9:,.2f} GB"
pd.DataFrame(rows).T

# %% [markdown]
# ## 5. Scores that mean something
#
# A model that calls everything "Membrane" is right for every membrane protein. Three numbers are less easily impressed. **Macro-F1** averages the F1 of the
# classes. **MCC** is zero for whoever always says the same. **Accuracy** (for three states called **Q3**) is the plain share of right answers, and
# stands here because papers report it.
#
# Each needs an interval. As in exercise 4.3 we draw the test set anew, with replacement, many times. But *what* do we draw? The residues of one protein have the
# same fold and the same neighbours: if the model fails on the protein, it fails on many of them at once. Draw whole proteins.
#
# ### Exercise 5.4 · Scores with intervals · ◆◆ · 30 minutes
#
# scikit-learn has all three scores (`sklearn.metrics.f1_score`, `matthews_corrcoef`, `accuracy_score`). Mind what it does with a class that does not occur. A thousand draws of
# three scores take scikit-learn several seconds; that is fine here, and the last hint has a faster way.


# %%
def scores(true, predicted, classes, n_boot=1000, seed=0, level=0.95):
    """Macro-F1, Matthews' correlation and accuracy, each with a percentile-bootstrap interval.

    Parameters
    ----------
    true, predicted : int array [N], or lists of int arrays [L]
        One label per protein, or one array of labels per protein. Positions with -100 in ``true`` do not count.
    classes : int
        They are 0 to classes - 1. All count in the macro-F1; one that nobody has and nobody predicts has F1 0.
    n_boot, seed, level : int, int, float
        Number of draws, their seed (same seed, same interval; leave the global random state alone), and the share of draws that the
        interval holds. Rows are drawn, or whole proteins where ``true`` is a list of arrays. The residues of all (drawn) proteins
        are scored together.

    Returns
    -------
    dict
        "macro_f1", "mcc" and "q3" -> (value, low, high); value is the score of the data themselves.

    Raises
    ------
    ValueError
        If the lengths differ, nothing is left to score, or a label is no class.
    """
    ### BEGIN SOLUTION
    if len(true) != len(predicted):
        raise ValueError(f"{len(true)} true and {len(predicted)} predicted entries")
    tables = np.zeros((len(true), classes, classes))  # one confusion matrix per row or protein; those of a draw are added up
    for i, (own, guess) in enumerate(zip(true, predicted)):
        own, guess = np.atleast_1d(own), np.atleast_1d(guess)
        if len(own) != len(guess):
            raise ValueError(f"entry {i} has {len(own)} true and {len(guess)} predicted labels")
        own, guess = own[own != -100], guess[own != -100]
        if not (np.isin(own, range(classes)).all() and np.isin(guess, range(classes)).all()):
            raise ValueError(f"entry {i} has a label outside 0 to {classes - 1}")
        np.add.at(tables[i], (own, guess), 1)
    if tables.sum() == 0:
        raise ValueError("no position has a label")
    rng = np.random.default_rng(seed)
    draws = [tables[rng.integers(0, len(tables), len(tables))].sum(0) for _ in range(n_boot)]
    values, drawn = pc.metrics.from_confusion(tables.sum(0)), pc.metrics.from_confusion(np.array(draws))
    ends = [(1 - level) / 2, (1 + level) / 2]
    return {name: (float(values[name]), *map(float, np.quantile(drawn[name], ends))) for name in values}
    ### END SOLUTION


# %%
scores = pc.check("5.4", scores)

# %% [markdown]
# The baselines, scored:

# %%
def line(found):
    """Three scores with intervals as text."""
    return {name: "{:.3f}  ({:.3f} to {:.3f})".format(*triple) for name, triple in found.items()}


rows = {("places", name): line(scores(true_places, runs[0], len(PLACES))) for name, runs in place_runs.items()}
rows |= {("states", name): line(scores(true_states, runs[0], 3)) for name, runs in state_runs.items()}
pd.DataFrame(rows).T

# %% [markdown]
# Look at "commonest" for the places: how far is its accuracy from the classifier's, and its MCC, which is exactly 0? And now the same predictions, with residues drawn instead of chains:

# %%
guess = state_runs["baseline: window of 15"][0]
drawn = {"chains": scores(true_states, guess, 3), "residues": scores(np.concatenate(true_states), np.concatenate(guess), 3)}
for what, found in drawn.items():
    value, low, high = found["q3"]
    print(f"drawing {what:9} Q3 {value:.3f}  ({low:.3f} to {high:.3f}), width {high - low:.3f}")

# %% [markdown]
# The value is the same. The narrower interval is not the better one: it counts every residue as a new experiment. How much too narrow it is depends on how
# much the chains differ; a model that is good on one protein and bad on the next makes it worse.
#
# ## 6. Training
#
# How long to train? **Early stopping**: after each epoch the model is scored on the **validation set**, and the weights of the best epoch are kept. The test set plays no part in
# that. Whoever stops at the best *test* score has trained on the test set, with a very slow optimiser.
#
# The loop that does it, `pc.fit`, is short enough to print. One epoch, one step, one batch:

# %%
for part in (pc.training.Run.one_epoch, pc.training.Run.step, pc.training.Run.backward):
    print(inspect.getsource(part))

# %% [markdown]
# * Proteins of similar length share a batch, and the batches come in random order.
# * The loss is summed over labels and divided once, so that a residue weighs the same in a short batch and in a long one.
# * Gradients are set to zero after each step (they would add up otherwise), and shortened where they are very long, so that one odd batch does not throw the model far off.
# * `model.train()` switches dropout on for the epoch; `predict`, which scores the validation set, switches it off.
#
# And around it, what decides when to stop (the documentation left out):

# %%
print(inspect.getsource(pc.fit).split('"""')[2])

# %% [markdown]
# ### Class weights
#
# Mitochondrial proteins are rare. An unweighted loss can afford to mention them less; the table below shows whether it does. **Balanced** weights give each class the same total say: class k has the
# weight n / (classes · n_k). What that does, on frozen vectors with a linear head:

# %%
share = np.bincount(pool_labels, minlength=len(PLACES)) / len(pool_labels)
rows = {"share of training proteins": [f"{s:.0%}" for s in share]}
for label, balanced in (("recall, unweighted loss", False), ("recall, balanced loss", True)):
    guess = linear(pool_mean, pool_labels, 0.01, balanced).predict(test_mean)
    rows[label] = ["{:.2f} ({:.2f} to {:.2f})".format(*found) for found in pc.recalls(true_places, guess, len(PLACES))]
    rows[label.replace("recall", "times named")] = [str((guess == k).sum()) for k in range(len(PLACES))]
pd.DataFrame(rows, index=PLACES)

# %% [markdown]
# **Recall** is the share of a class's members that were found. Compare how often the rarest and the commonest class are named under the two losses. Neither
# loss is right in itself: that depends on what a mistake costs you. Macro-F1 asks for balance, so from here on we train with balanced weights.


# %%
def balanced_weights(labels, classes):
    """Weight of each class: the rarer, the larger, 1 on average over the labels."""
    labels = np.concatenate([np.atleast_1d(own) for own in labels])
    return len(labels) / (classes * np.maximum(np.bincount(labels, minlength=classes), 1))


def fresh_backbone(pretrained, seed):
    """A backbone of its own for each experiment: the loaded weights, or random ones of the same shape."""
    if pretrained:
        return copy.deepcopy(plm.model.esm)
    sizes = dict(layers=depth, dim=dim, heads=plm.config.num_attention_heads)
    return pc.untrained(**sizes, seed=seed, attention="sdpa").model.esm.to(plm.device, plm.dtype)


def experiment(task, kind, classes, epochs, last_n, pretrained=True, seed=0):
    """Train one model: the model, its history, and its probabilities for the test set."""
    backbone = fresh_backbone(pretrained, seed)
    torch.manual_seed(seed)  # the head's first weights
    model = thaw(kind(backbone, classes).to(plm.device, plm.dtype), last_n)
    history = pc.fit(model, task["train"], task["validation"], epochs=epochs, lr=RATES[last_n], seed=seed,
                     weights=balanced_weights([label for _, label in task["train"]], classes),
                     tokens_per_batch=SIZES["tokens per batch"])
    return model, history, pc.predict(model, task["test"])


STRATEGIES = {"frozen": (0, True), "last 2 layers": (2, True), "all layers": (depth, True),
              "random backbone, frozen": (0, False), "random backbone, all layers": (depth, False)}

# %% [markdown]
# Five strategies. The last two start from a backbone with **random** weights, and are otherwise treated the same. They answer a question that is easily
# forgotten: how much of the score would have come without any pretraining?
#
# First the secondary structure. This is one of two long cells; the progress bar shows loss and validation score.

# %%
def experiments(task, kind, classes, epochs, seeds):
    """All strategies with all seeds: a dict from (strategy, seed) to model, history and probabilities."""
    found = {}
    for name, (last_n, pretrained) in STRATEGIES.items():
        for seed in range(seeds):
            model, history, probabilities = experiment(task, kind, classes, epochs, last_n, pretrained, seed)
            found[name, seed] = (model if seed == 0 and pretrained else None, history, probabilities)
    return found


state_results = experiments(structure, ResidueClassifier, 3, SIZES["epochs"][1], SIZES["seeds"][1])

# %% alt="Two line plots against the epoch, one line per strategy: validation loss on the left, validation macro-F1 on the right."
def draw_curves(results):
    """Validation loss and macro-F1 of the first seed, epoch by epoch."""
    fig, axes = plt.subplots(1, 2, figsize=(10.5, 3.8))
    for name, marker in zip(STRATEGIES, "os^vD"):
        history = results[name, 0][1]
        style = dict(marker=marker, label=name, linestyle="--" if name.startswith("random") else "-")
        axes[0].plot(history.index, history["validation_loss"], **style)
        axes[1].plot(history.index, history["macro_f1"], **style)
    axes[0].set(xlabel="epoch", ylabel="validation loss, nats per label")
    axes[1].set(xlabel="epoch", ylabel="validation macro-F1")
    for ax in axes:
        ax.set_xticks(range(1 + max(len(results[name, 0][1]) - 1 for name in STRATEGIES)))
    axes[1].legend(loc="center left", bbox_to_anchor=(1, 0.5))


draw_curves(state_results)

# %% [markdown]
# *Epoch 0 is the untrained head. Dashed: random backbones. A score that still rises at its end would have gained from more epochs. Loss and score need not turn together: a model can
# grow too sure (loss up) while it still decides better (score up). `fit` keeps the epoch with the best score. A line that ends early was stopped after two epochs
# without a better score, even where its loss was still falling.*
#
# Compare training and validation loss of one strategy. Learning by heart shows where the first keeps falling and the second does not. (The training loss is averaged while the epoch runs, with
# dropout on, so it can start above the validation loss; before training there is none.)

# %%
state_results["all layers", 0][1].style.format(precision=3)

# %% [markdown]
# ## 7. The contest: secondary structure


# %%
def labels_of(probabilities):
    """The most probable class, for each protein or for each residue."""
    guesses = [p.argmax(-1) for p in probabilities]
    return guesses if np.ndim(guesses[0]) else np.array(guesses)


def add_runs(runs, results, seeds):
    """Baselines and strategies side by side: dict from name to predictions, one per seed."""
    return runs | {name: [labels_of(results[name, seed][2]) for seed in range(seeds)] for name in STRATEGIES}


state_runs = add_runs(state_runs, state_results, SIZES["seeds"][1])
state_table = pc.compare(true_states, state_runs, 3, baseline="baseline: window of 15")
tell(state_table)

# %% [markdown]
# The first question to any such table, before the order of the strategies: which rows are "better" than the baseline? If none is, training the network has not paid on these data.
#
# `pc.compare` draws test chains and training seeds together, the same draws for all rows. (Two or three seeds say only roughly how much the seed matters.)

# %% alt="Interval plot of macro-F1 for secondary structure: two grey baselines, three strategies with the pretrained backbone, two with a random one."
def draw_contest(comparison):
    """Scores and intervals of all rows of a comparison."""
    pc.plots.intervals({name: tuple(row[["score", "low", "high"]]) for name, row in comparison.iterrows()}, "macro-F1 on the test set")


draw_contest(state_table)

# %% [markdown]
# *Points: mean over seeds; bars: 95 % intervals. Overlapping bars do **not** show that two rows are alike, since all rows were tested on the same chains: the column
# "difference" of the table is the sharper test.*
#
# What is the order of the strategies? Here is every pair, and whether these data decide it:


# %%
def decide(true, runs, classes):
    """Every pair of strategies: difference in macro-F1, its interval, and what may be said."""
    names = list(STRATEGIES)
    for i, name in enumerate(names[:-1]):
        found = pc.compare(true, {other: runs[other] for other in names[i:]}, classes, baseline=name)
        for other, row in found.iloc[1:].iterrows():
            say = "is above" if row["difference_low"] > 0 else "is below" if row["difference_high"] < 0 else "cannot be told from"
            print(f"{other:28} {say:20} {name:24} "
                  "{:+.3f} ({:+.3f} to {:+.3f})".format(*row[["difference", "difference_low", "difference_high"]]))


decide(true_states, state_runs, 3)

# %% [markdown]
# > **The lecture says** that full fine-tuning gives the best accuracy. **A published comparison** (Sledzieski et al. 2024) found training the head alone, or
# > LoRA (notebook 6), better on protein–protein interactions. **Your lines above** are a third opinion: only pairs with "is above" or "is below" take sides.
#
# Which residues are confused with which? The strategy is chosen by its *validation* score.


# %%
def best_by_validation(results):
    """The pretrained strategy with the best validation score (first seed)."""
    return max((name for name in STRATEGIES if STRATEGIES[name][1]), key=lambda name: results[name, 0][1]["macro_f1"].max())


best = best_by_validation(state_results)
confusion = pc.metrics.confusions(true_states, state_runs[best][0], 3).sum(0)
print(f"chosen by validation: {best}")
for state, found in zip(STATES, pc.recalls(true_states, state_runs[best][0], 3)):
    print(f"recall of {state:7} {{:.2f}} ({{:.2f}} to {{:.2f}})".format(*found))

# %% alt="Heat map of the confusion matrix for helix, strand and other: true state in rows, predicted state in columns, shares of each row written into the boxes."
fig, ax = plt.subplots(figsize=(5, 3.8))
sns.heatmap(confusion / confusion.sum(1, keepdims=True), annot=True, fmt=".2f", vmin=0, vmax=1, cmap="cividis", ax=ax,
            xticklabels=STATES, yticklabels=STATES, cbar_kws={"label": "share of the true state"})
ax.set(xlabel="predicted state", ylabel="true state");

# %% [markdown]
# *Each row adds up to 1; the diagonal holds the recalls.* Which box off the diagonal is the largest? Near the ends of helices and strands one expects confusion with "other". If the largest
# box joins helix and strand, the mistakes go deeper than the ends.

# %% [markdown]
# ## 8. The contest: localisation
#
# The same five strategies, one label per protein.

# %%
place_results = experiments(localisation, SequenceClassifier, len(PLACES), SIZES["epochs"][0], SIZES["seeds"][0])
place_runs = add_runs(place_runs, place_results, SIZES["seeds"][0])
place_table = pc.compare(true_places, place_runs, len(PLACES), baseline="baseline: composition")
tell(place_table)

# %% [markdown]
# Again: which rows are "better" than the baseline? (The whole protein's composition, where it is listed, has seen more than the models.)

# %% alt="Two line plots against the epoch for localisation, one line per strategy: validation loss on the left, validation macro-F1 on the right."
draw_curves(place_results)

# %% [markdown]
# *As in section 6, for localisation. The validation set is small and its rarest class has a handful of members: part of the zigzag is chance.*

# %% alt="Interval plot of macro-F1 for localisation: grey baselines, three strategies with the pretrained backbone, two with a random one."
draw_contest(place_table)

# %%
decide(true_places, place_runs, len(PLACES))

# %% [markdown]
# Some pairs may come out decided, "above" or "below". Do not yet believe the order of frozen, last layers and all layers. The interval covers the luck of the test proteins; with **one** seed it knows nothing of the
# luck of that training run, nor of the stopping epoch that a validation set of a few dozen proteins picked, nor of the learning rate. And of ten pairs with 95 % intervals one may well be decided by
# chance. What the lines say is about *these runs*; to say it of the *strategies* takes more seeds and more data (a GPU takes both). A paper that drew a ranking from one such table would be wrong to
# do so, whatever the points say.
#
# How much is due to pretraining is another question. The pretrained and the random backbone, treated in the same way; beside each gain stands the score of the random one:


# %%
def due_to_pretraining(true, runs, classes):
    """Pretrained minus random backbone, both frozen and both trained in full."""
    for name in ("frozen", "all layers"):
        pair = {key: runs[key] for key in (f"random backbone, {name}", name)}
        row = pc.compare(true, pair, classes, baseline=f"random backbone, {name}").loc[name]
        gain = "{:+.3f} ({:+.3f} to {:+.3f})".format(*row[["difference", "difference_low", "difference_high"]])
        print(f"  {name:11} {gain}   over a random backbone with {row['score'] - row['difference']:.3f}")


print("secondary structure, gain by pretraining in macro-F1")
due_to_pretraining(true_states, state_runs, 3)
print("localisation, gain by pretraining in macro-F1")
due_to_pretraining(true_places, place_runs, len(PLACES))

# %% [markdown]
# A random backbone is not nothing. Frozen, it mixes the letters of a neighbourhood in a fixed, random way, and a linear head can read letters from the mixture: compare its row with
# "commonest". A random backbone that may learn has everything to learn from a few examples in a few dozen steps. Where it scores hardly more than "commonest", or was stopped while its loss was still falling, it
# has not learned, and a gain over it is no measure of pretraining. The honest gain is the one over the *best* model without pretraining: the random frozen backbone, the window, the composition.
#
# Published figures for Meta's 8M, on whole sets (Schmirler et al. 2024, other chains): frozen 75.3 and fine-tuned 76.1 % Q3 on secondary structure, a random backbone fine-tuned 70.8 %. There, most of the
# score needed no pretraining; on other tasks of that study the gain was far larger.

# %%
best_place = best_by_validation(place_results)
columns = {}
for name in ("baseline: composition", best_place):
    found = pc.recalls(true_places, place_runs[name][0], len(PLACES))
    columns[f"recall, {name}"] = ["{:.2f} ({:.2f} to {:.2f})".format(*triple) for triple in found]
print(f"chosen by validation: {best_place}")
pd.DataFrame(columns, index=PLACES)

# %% [markdown]
# A class with recall 0 is not named at all, which a mean over classes can hide. (An interval of width 0 is then an artefact: drawing the same failures again gives failures.) And look the chosen strategy up in the table
# above: is it the best on the test set, too? A small validation set chooses with little certainty.
#
# ### Would more data help?
#
# More examples are expensive when the backbone learns, and cheap when it is frozen: vectors are computed once, and a linear head is fitted in a second. So at least the
# frozen strategy can be followed as the training set grows.

# %%
pool_composition = np.array([composition(s) for s in pool["sequence"]])
test_composition = np.array([composition(s) for s in proteins["test"]["sequence"]])
steps = [n for n in (60, 120, 250, 500, 1000, 2000, 3000) if n <= len(pool)]
growth = {}
for label, x_train, x_test, c in (("frozen backbone, linear head", pool_mean, test_mean, 0.01),
                                         ("baseline: composition", pool_composition, test_composition, 0.1)):
    guesses = [linear(x_train[:n], pool_labels[:n], c).predict(x_test) for n in steps]
    growth[label] = dict(zip(steps, guesses))
tables = {n: pc.compare(true_places, {label: [guesses[n]] for label, guesses in growth.items()}, len(PLACES), baseline="baseline: composition")
          for n in steps}

# %% alt="Line plot of test macro-F1 against the number of training proteins for a linear head on frozen vectors and for composition, each with a shaded 95 percent interval."
fig, ax = plt.subplots(figsize=(7, 3.8))
for label, marker, colour in zip(growth, "os", (sns.color_palette()[0], pc.plots.GREY)):
    values = np.array([tables[n].loc[label, ["score", "low", "high"]] for n in steps], dtype=float)
    ax.plot(steps, values[:, 0], marker=marker, color=colour, label=label)
    ax.fill_between(steps, values[:, 1], values[:, 2], color=colour, alpha=0.2, linewidth=0)
ax.set(xlabel="training proteins", ylabel="macro-F1 on the test set", xscale="log", xticks=steps, xticklabels=steps)
ax.minorticks_off()
ax.legend();

# %% [markdown]
# *Shaded: 95 % intervals from the test proteins; they do not shrink with more training, since the test set stays the same. There is one training set per size, so
# small ups and downs are luck.* The bands may overlap where the difference is still decided:

# %%
for n, found in tables.items():
    row = found.loc["frozen backbone, linear head"]
    print(f"{n:5} training proteins: frozen minus composition "
          "{:+.3f} ({:+.3f} to {:+.3f})".format(*row[["difference", "difference_low", "difference_high"]]))

# %% [markdown]
# The blue curve is the strategy "frozen" with its head trained to the end, by a logistic regression. The row "frozen" of the table stopped after a few epochs of small steps; compare the two at the
# number of proteins that it had. A head on a frozen backbone is so cheap that it should be trained well before anything is thawed.

# %% [markdown]
# ## 9. May the probabilities be believed?
#
# A classifier that says "helix, 90 %" should be right nine times out of ten. That is **calibration**, and it is another matter than accuracy. We sort the test residues by the
# probability of the predicted state, and compare it with how often the prediction was right. The **expected calibration error** (ECE) is the mean gap between the two.

# %%
from sklearn.calibration import calibration_curve


def confidence(probabilities, true):
    """For each protein the probability of the predicted class, and whether it was right: two lists of arrays."""
    return [p.max(-1) for p in probabilities], [(p.argmax(-1) == y).astype(float) for p, y in zip(probabilities, true)]


def ece(sure, right, bins=10):
    """Expected calibration error over bins of equal width, from one array per protein."""
    sure, right = np.concatenate(sure), np.concatenate(right)
    box = np.minimum((sure * bins).astype(int), bins - 1)
    gaps = np.bincount(box, right - sure, minlength=bins)  # summed over the box: its mean times its size
    return np.abs(gaps).sum() / len(sure)


def ece_interval(sure, right, n_boot=300, seed=0):
    """ECE with a 95 % interval; proteins are drawn."""
    rng = np.random.default_rng(seed)
    draws = [rng.integers(0, len(sure), len(sure)) for _ in range(n_boot)]
    drawn = [ece([sure[i] for i in rows], [right[i] for i in rows]) for rows in draws]
    return ece(sure, right), *pc.metrics.interval(drawn)


# %% [markdown]
# If a model is too sure, or not sure enough, one number often mends it: divide all logits by a **temperature**, chosen on the *validation* set. The order of the classes
# does not change, so no prediction does. We look at the model of which all layers were trained: it has the most room to become too sure of itself.


# %%
def at_temperature(probabilities, temperature):
    """Probabilities at another temperature: logits divided by it."""
    powers = [np.maximum(p, 1e-12) ** (1 / temperature) for p in probabilities]
    return [p / p.sum(-1, keepdims=True) for p in powers]


def nll(probabilities, true):
    """Mean negative log-probability of the right class, in nats."""
    return -np.mean(np.concatenate([np.log(p[np.arange(len(y)), y]) for p, y in zip(probabilities, true)]))


tuned, _, raw = state_results["all layers", 0]
held_out = pc.predict(tuned, structure["validation"])
grid = np.geomspace(0.4, 4, 60)
temperature = grid[np.argmin([nll(at_temperature(held_out, t), [y for _, y in structure["validation"]]) for t in grid])]
versions = {"as trained": raw, f"temperature {temperature:.2f}": at_temperature(raw, temperature)}
for label, probabilities in versions.items():
    error = "{:.3f} ({:.3f} to {:.3f})".format(*ece_interval(*confidence(probabilities, true_states)))
    print(f"{label:17} ECE {error}   loss {nll(probabilities, true_states):.3f} nats")

# %% alt="Reliability diagram: share of right predictions against the probability of the predicted state, as trained and after temperature scaling, with the diagonal dashed."
fig, ax = plt.subplots(figsize=(5, 4))
for (label, probabilities), marker in zip(versions.items(), "os"):
    sure, right = map(np.concatenate, confidence(probabilities, true_states))
    hit, said = calibration_curve(right, sure, n_bins=8, strategy="quantile")
    ax.plot(said, hit, marker=marker, label=label)
ax.plot([0.3, 1], [0.3, 1], "--", color="#404040", linewidth=1)
ax.set(xlabel="probability of the predicted state", ylabel="share of right predictions", xlim=(0.3, 1), ylim=(0.3, 1))
ax.legend();

# %% [markdown]
# *Each point holds an eighth of the test residues. Below the dashed line the model is too sure of itself, above it too modest. A temperature above 1 has
# softened what the model says, one below 1 has sharpened it.* It was chosen on a few validation chains, so it can miss: did the test set's ECE fall? A perfectly calibrated model would not reach an ECE of exactly 0 on a finite test set: compare, do not hope for zero. And remember the
# class weights: a balanced loss trains for a world in which all classes are equally common, and its probabilities belong to that world.
#
# ## 10. What the model has forgotten
#
# Fine-tuning moves weights that once knew how to fill in masked residues. Do they still? Put the tuned backbone back under the language-model head, and measure the masked perplexity of
# notebook 1 on proteins that have nothing to do with the task: on general proteins, and on members of the course's families. For the frozen strategy the answer is clear beforehand. Why?

# %%
def language_model(backbone):
    """The loaded model with another backbone under its language-model head."""
    model = copy.deepcopy(plm.model)
    model.esm = copy.deepcopy(backbone).requires_grad_(False)
    return dataclasses.replace(plm, model=model.eval())


def some_proteins(name, n):
    """The first proteins of a data set that are not too long for a quick look."""
    usable = [s for s in pc.datasets.load(name).values() if len(s) <= 200]
    return [usable[i] for i in np.random.default_rng(0).permutation(len(usable))[:n]]


def perplexity(nlls):
    """exp of the mean over all masked residues; ``nlls`` has one array per protein."""
    return float(np.exp(np.mean(np.concatenate(nlls))))


def with_interval(before, after, n_boot=500):
    """Perplexity after, and its ratio to before, with 95 % intervals; proteins are drawn, masks are the same in both."""
    rng = np.random.default_rng(0)
    draws = [rng.integers(0, len(after), len(after)) for _ in range(n_boot)]
    drawn = [(perplexity([after[i] for i in rows]), perplexity([before[i] for i in rows])) for rows in draws]
    a, b = np.array(drawn).T
    return (perplexity(after), *pc.metrics.interval(a)), (perplexity(after) / perplexity(before), *pc.metrics.interval(a / b))


# %%
held = {"general proteins": some_proteins("pretrain_heldout", SIZES["forgetting"]),
        "course families": some_proteins("family_heldout", SIZES["forgetting"])}


def surprises(a_plm, sequences):
    """Negative log-probability of each masked residue, one array per protein; the same masks for every model."""
    return [nlls.cpu().numpy() for nlls in pc.pretraining.masked_nll(a_plm, sequences)]


before = {kind: surprises(plm, sequences) for kind, sequences in held.items()}
rows, ratios = {}, {}
for task, results in {"secondary structure": state_results, "localisation": place_results}.items():
    for name in ("frozen", "last 2 layers", "all layers"):
        tuned = language_model(results[name, 0][0].backbone) if name != "frozen" else None
        if tuned is None:  # nothing to run: not a weight has changed
            pairs = zip(results[name, 0][0].backbone.parameters(), plm.model.esm.parameters())
            assert all(torch.equal(a, b) for a, b in pairs)
        for kind, sequences in held.items():
            now, ratio = with_interval(before[kind], surprises(tuned, sequences) if tuned else before[kind])
            rows.setdefault((task, name), {})[kind] = "{:.2f}  ({:.2f} to {:.2f})".format(*now)
            ratios[f"{task}, {name}", kind] = ratio
rows["before", ""] = {kind: "{:.2f}  ({:.2f} to {:.2f})".format(*with_interval(own, own)[0]) for kind, own in before.items()}
pd.DataFrame(rows).T

# %% alt="Interval plot of the ratio of masked perplexity after fine-tuning to that before, for two tasks and two strategies on two kinds of proteins, with a dashed line at 1."
shown = {f"{name}: {kind}": ratio for (name, kind), ratio in ratios.items() if not name.endswith("frozen")}
pc.plots.intervals(shown, "perplexity after / before (1: nothing forgotten)", 1);

# %% [markdown]
# *Right of the dashed line: forgotten. Does more thawing forget more, and which kind of protein suffers more? All models were shown the same proteins with the same masks, so that hard proteins do not blur the ratio as they blur the table. A frozen
# backbone cannot forget.* Forgetting is no fault as long as you keep the original file, and want nothing but the task. It matters when one model is to serve several tasks: notebook 6
# has a way to keep the old weights and the new in one model.
#
# ## 11. What a random split would have claimed
#
# All test proteins above were strangers. Had we split at random, relatives would have sat on both sides. How much would that have flattered us? Take whole families of 3 to 12
# members, the frozen backbone with a linear head, and composition beside it; six splits of each kind.

# %%
from sklearn.metrics import f1_score

sizes = table.groupby("cluster")["id"].transform("size")
families = table[sizes.between(3, 12)]
order = np.random.default_rng(3).permutation(families["cluster"].unique())
subset = families.set_index("cluster").loc[order].reset_index().head(SIZES["split"])
clusters, y = subset["cluster"].to_numpy(), np.array([PLACES.index(label) for label in subset["label"]])
contestants = {"frozen backbone": (protein_vectors(subset["sequence"].tolist())[1], 0.01),
               "composition": (np.array([composition(s) for s in subset["sequence"]]), 0.1)}


def random_split(seed, test_fraction=0.3):
    """Train and test indices, families ignored."""
    shuffled = np.random.default_rng(seed).permutation(len(y))
    n_test = int(test_fraction * len(y))
    return shuffled[n_test:], shuffled[:n_test]


rows = []
for seed in range(6):
    for kind, (train, test) in {"by family": pc.cluster_split(clusters, 0.3, seed), "at random": random_split(seed)}.items():
        for name, (x, c) in contestants.items():
            guess = linear(x[train], y[train], c).predict(x[test])
            value = f1_score(y[test], guess, labels=range(len(PLACES)), average="macro", zero_division=0)
            rows.append({"seed": seed, "split": kind, "classifier": name, "macro-F1": value})
splits = pd.DataFrame(rows)
print(f"{len(subset)} proteins in {len(set(clusters))} families")

# %% alt="Dot plot of macro-F1 for the frozen backbone and for composition, six splits each, by family and at random in two colours."
fig, ax = plt.subplots(figsize=(7.5, 2.6))
sns.stripplot(data=splits, x="macro-F1", y="classifier", hue="split", dodge=True, jitter=False, size=7, alpha=0.75, ax=ax)
ax.set(ylabel="")
sns.move_legend(ax, "center left", bbox_to_anchor=(1, 0.5), title="split");

# %%
wide = splits.pivot(index=["classifier", "seed"], columns="split", values="macro-F1")
for name in contestants:
    gap = wide.loc[name, "at random"] - wide.loc[name, "by family"]
    value, low, high = pc.bootstrap_ci(np.mean, gap.to_numpy())
    print(f"{name:16} by family {wide.loc[name, 'by family'].mean():.2f}   at random {wide.loc[name, 'at random'].mean():.2f}   "
          f"difference {value:+.2f} ({low:+.2f} to {high:+.2f})")

# %% [markdown]
# *Each dot is one split.* The gap between the colours is what the random split adds without any skill. Is it larger than the differences between strategies in sections 7 and 8? (Those were
# measured on other sets of proteins, with one member per family.) A paper can gain more by its split than by its method. (Intervals are over six pairs of splits of the same
# proteins, so they are on the narrow side.) Here the backbone was frozen; one that may learn could learn families by heart as well.
#
# ## 12. Interrupted
#
# Training that takes hours gets interrupted: by you, or by a machine that goes down. Two habits make that harmless. The first: `fit` gives the best weights so far when you press stop. Let us
# press it, in the middle of an epoch, by means of a hook that counts batches.

# %%
tiny = {"train": structure["train"][:12], "validation": structure["validation"][:8]}


def small_model():
    """A frozen backbone with a new head, the same each time."""
    torch.manual_seed(0)
    return thaw(ResidueClassifier(copy.deepcopy(plm.model.esm), 3).to(plm.device, plm.dtype), 0)


def stop_after(n):
    """A hook that presses stop when the model has been called n times in training mode."""
    calls = []

    def hook(module, inputs, output):
        calls.append(1) if module.training else None
        if len(calls) == n:
            raise KeyboardInterrupt

    return hook


fit_options = dict(lr=3e-3, patience=10, tokens_per_batch=256)
model = small_model()
batches_per_epoch = len(pc.embeddings.batches([len(tokens) for tokens, _ in tiny["train"]], 256))
handle = model.register_forward_hook(stop_after(3 * batches_per_epoch + 2))
history = pc.fit(model, tiny["train"], tiny["validation"], epochs=5, **fit_options)
handle.remove()
history.style.format(precision=3)

# %%
loss, macro_f1 = pc.training.evaluate(model, tiny["validation"])
print(f"the model that was handed back scores {macro_f1:.3f}; the best finished epoch scored {history['macro_f1'].max():.3f}")
assert abs(macro_f1 - history["macro_f1"].max()) < 1e-6

# %% [markdown]
# The second: a checkpoint after each epoch, with everything that the next epoch depends on. Four epochs in one go, against two epochs, a new start from the file, and two more:

# %%
straight = small_model()
whole_run = pc.fit(straight, tiny["train"], tiny["validation"], epochs=4, **fit_options)
with tempfile.TemporaryDirectory() as folder:
    file = Path(folder) / "run.pt"
    pc.fit(small_model(), tiny["train"], tiny["validation"], epochs=2, checkpoint=file, **fit_options)
    resumed = small_model()  # all that is left of the first half is the file
    second_half = pc.fit(resumed, tiny["train"], tiny["validation"], epochs=4, checkpoint=file, **fit_options)
    print(f"size of the checkpoint: {file.stat().st_size / 1e3:,.0f} kB: only what learns is stored")
pd.concat({"in one go": whole_run, "resumed": second_half}, axis=1).style.format(precision=4)

# %%
same = [torch.equal(a, b) for a, b in zip(straight.parameters(), resumed.parameters())]
print("weights of the two, bit by bit:", "equal" if all(same) else "different")
assert np.allclose(whole_run["macro_f1"], second_half["macro_f1"])

# %% [markdown]
# The order of the batches comes from the seed and the number of the epoch, dropout from the same source, and the optimizer's memory is in the file. Leave out one of the three, and the second half
# would be another run.

# %% [markdown]
# ## Discussion
#
# * Which orders of strategies do your tables support? Write them down as you would in a paper, with the number of test proteins and seeds.
# * A signal that sends a protein to the mitochondrion sits at its beginning; on the CPU the models see only the first residues, averaged. Which head would you
#   build for such a task, instead of the mean?
# * You have 200 labelled proteins of your own, and one afternoon. Which strategy first, which baseline beside it, and which split?
#
# ## Quiz
#
# 1. A colleague reports that full fine-tuning beats the frozen backbone by 0.02 in macro-F1, on 300 test proteins, each run once. What do you ask for?
# 2. A residue classifier reaches Q3 = 0.95 after one epoch on batches of very different lengths. Its labels are 0, 1, 2, and 0 is helix. What is your first suspicion?
# 3. After `thaw(model, 2)` and then `thaw(model, 0)`, how many encoder layers learn? And if `thaw` only ever set `requires_grad` to True?
# 4. A random backbone, trained in full, scores 0.60, a frozen pretrained one 0.62, a fully trained pretrained one 0.66. Somebody writes "pretraining gives 0.66". What would you write?
# 5. Your model is right in 70 % of the cases and says "90 %" most of the time. Does a temperature raise the 70 %?

# %% [markdown] tags=["solution"]
# ### Answers
#
# 1. The interval of the *difference* on the same proteins, several seeds, and how the stopping epoch was chosen. The tables of sections 7 and 8 show how wide such intervals are at this
#    size.
# 2. Padding labelled 0 and counted as helix: easy to predict, and there is a lot of it (section 3, the count of tokens that are no residue). Q3 must be taken where labels are
#    not −100.
# 3. None, and two. A function that only opens never closes (section 4, and the check of exercise 5.3).
# 4. Compare like with like: trained in full, pretraining adds 0.06; the head on a frozen backbone gets most of the way. Both with intervals (section 8, the gain by pretraining).
# 5. No. It divides all logits of a residue by the same number, so the largest stays the largest (section 9). It makes the model say 70 %.

# %% [markdown]
# ## References
#
# * Schmirler R., Heinzinger M., Rost B. (2024) Fine-tuning protein language models boosts predictions across diverse tasks. *Nature Communications* 15:7407.
#   (published figures, random backbones)
# * Sledzieski S. et al. (2024) Democratizing protein language models with parameter-efficient fine-tuning. *PNAS* 121:e2405840121.
# * Lin Z. et al. (2023) Evolutionary-scale prediction of atomic-level protein structure with a language model. *Science* 379:1123. (ESM-2)
# * Almagro Armenteros J. et al. (2017) DeepLoc: prediction of protein subcellular localization using deep learning. *Bioinformatics* 33:3387. (splits by homology)
# * Kabsch W., Sander C. (1983) Dictionary of protein secondary structure. *Biopolymers* 22:2577. (DSSP)
# * Guo C. et al. (2017) On calibration of modern neural networks. *ICML*. (temperature scaling)
# * Efron B., Tibshirani R. (1993) *An Introduction to the Bootstrap*. Chapman & Hall. (intervals)
# * Kirkpatrick J. et al. (2017) Overcoming catastrophic forgetting in neural networks. *PNAS* 114:3521.
# * Data: see `data/README.md` for sources and licences.

# %%
pc.progress(5)
