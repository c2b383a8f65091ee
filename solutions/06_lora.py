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
# # 6 · LoRA: fine-tuning with a few numbers
#
# Fine-tuning changes every weight of a model a little. LoRA leaves the weights alone and learns a small correction beside some of them. This
# notebook builds it from two thin matrices, counts what it costs to the last parameter, and then measures what it saves, what it does not, and
# whether the model forgets.
#
# **You will be able to**
#
# * write a LoRA layer, and say why one of its matrices must start at zero and the other must not;
# * put adapters into a model so that nothing else is trained, and prove it by counting;
# * merge adapters into the weights, take them out again, and know when that loses digits;
# * use peft, the library, and get the same numbers from it as from your own code;
# * compare LoRA with a frozen and a fully trained model in score, time, memory and forgetting, with intervals.
#
# **Before you start**: notebook 5 (heads, `pc.fit`, macro-F1); PyTorch modules. The course follows a lecture on protein language models; boxes that
# begin "The lecture says" compare its statements with what the model does. **Time**: about 2½ hours with the exercises; the code itself runs in
# two to three minutes. **Difficulty**: ◆ to ◆◆.
#
# | word | means here |
# |---|---|
# | backbone, head | the pretrained model, and the small new classifier on top of it |
# | trainable, frozen | whether training may change a parameter (`requires_grad`) |
# | W, ΔW | a weight matrix, and what fine-tuning adds to it |
# | rank | how many independent directions a matrix has; a product of a tall and a flat matrix of width r has at most r |
# | wrapped layer | a linear layer that runs inside a LoRA layer, which has taken its place in the model |
# | adapter | the trained A and B matrices of all wrapped layers |
# | α | a number you choose; the update is multiplied by α/r before it is added |
# | singular value | how strong one direction of a matrix is; the matrix is the sum of its directions, each times its singular value |
# | dropout | in training, a random share of the numbers is set to zero (and the rest scaled up) |
# | dtype, bfloat16 | the precision in which numbers are stored; bfloat16 takes 2 bytes instead of float32's 4, and has two to three digits |
# | backward pass | the computation of all gradients, from the loss back through every layer |
# | gradient, Adam | the direction of the next change, one number per trainable parameter; the optimizer, which remembers two more |

# %%
import importlib.util
import subprocess
import sys

if importlib.util.find_spec("plmcourse") is None:  # on Colab; a local installation has it already
    subprocess.check_call([sys.executable, "-m", "pip", "install", "--quiet", "{{install}}"])

import copy
import dataclasses
import gc
import itertools
import math
import os
import tempfile
import time
from pathlib import Path

os.environ["KINETO_LOG_LEVEL"] = "99"  # before torch is imported: its profiler, used in section 10, would print its own notices

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import psutil
import seaborn as sns
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression
from torch import nn

import plmcourse as pc

pc.plots.use_course_style()
plm = pc.load()
print(f"{psutil.virtual_memory().available / 1e9:.0f} GB of memory free · PyTorch {torch.__version__.split('+')[0]}")

# %% [markdown]
# The first line says which weights you have: Meta's ESM-2, or the checkpoint that this course has trained. `PLMCOURSE_MODEL=650M` gives a larger
# one. All sizes of the experiments stand in the next cell. On a CPU they are small, so expect wide intervals; with a GPU the same cells take the full
# sets. The learning rates were chosen on validation chains, never on test chains.

# %%
on_cpu = plm.device.type == "cpu"
sizes = {"chains": 48, "validation": 16, "test": 60, "residues": 64, "epochs": 5, "seeds": 2, "sweep_chains": 24, "sweep_epochs": 3,
         "sweep_seeds": 2, "proteins": 120, "protein_residues": 48, "protein_epochs": 3, "heldout": 60, "tokens_per_batch": 512}
rates = {"frozen": 3e-3, "LoRA": 3e-3, "full": 5e-4}
if not on_cpu:
    sizes = {"chains": 440, "validation": 40, "test": 120, "residues": 512, "epochs": 10, "seeds": 3, "sweep_chains": 200, "sweep_epochs": 5,
             "sweep_seeds": 3, "proteins": 3000, "protein_residues": 512, "protein_epochs": 5, "heldout": 500, "tokens_per_batch": 4096}
    rates = {"frozen": 3e-3, "LoRA": 1e-3, "full": 1e-4}
print(sizes)

# %% [markdown]
# ## 1. What full fine-tuning costs
#
# A parameter in float32 takes 4 bytes. To *train* it, you also keep its gradient (4 bytes) and Adam's two running averages (8 bytes): 16 bytes
# in all, before a single protein has been read. The parameter counts below are exact.

# %%
full_cost = pd.DataFrame({name: {"parameters": size.parameters, "weights": 4 * size.parameters / 1e9, "gradients": 4 * size.parameters / 1e9,
                                 "Adam": 8 * size.parameters / 1e9, "sum": 16 * size.parameters / 1e9} for name, size in pc.FAMILY.items()}).T
full_cost.style.format({"parameters": "{:,.0f}"} | {name: "{:.2f} GB" for name in ("weights", "gradients", "Adam", "sum")})

# %% [markdown]
# > **The lecture says** that full fine-tuning of the 650M model can demand 10–20 GB. **The table says** its lower end is what weights, gradients and
# > Adam take before any activation; the rest depends on how many residues you put into a batch. Compare the last row with the largest GPU you know.
#
# Three quarters of the sum are gradients and optimizer. They exist only for parameters that are *trained*. Train fewer, and they shrink. The
# weights must be there anyway, and the activations (the intermediate results that the backward pass needs) are a matter of their own: section 10
# measures both.

# %% [markdown]
# ## 2. Is the update of low rank?
#
# LoRA bets that the change ΔW of a weight matrix needs only a few directions. That can be looked at: fine-tune everything once, subtract the old
# weights from the new, and count directions. The task is secondary structure: helix, strand or other for each residue, as in notebook 5. No test
# chain has a relative among the training chains.

# %%
STATE = {"H": 0, "G": 0, "I": 0, "E": 1, "B": 1}  # DSSP's eight states as three: helix, strand, and 2 for everything else


def structure_examples(chains):
    """Sequences with a state per residue, cut to the length in ``sizes``."""
    end = sizes["residues"]
    labels = [np.array([STATE.get(letter, 2) for letter in chain["ss"][:end]]) for chain in chains]
    return pc.examples(plm, [chain["sequence"][:end] for chain in chains], labels)


chains = pc.datasets.chains("secondary_structure_train")
chains = [chains[i] for i in np.random.default_rng(0).permutation(len(chains))]
n = sizes["chains"]
train = structure_examples(chains[:n])
validation = structure_examples(chains[n:n + sizes["validation"]])
test = structure_examples(pc.datasets.chains("secondary_structure_test")[:sizes["test"]])
true = [labels for _, labels in test]
print(f"{len(train)} chains to train, {len(validation)} to validate, {len(test)} to test; residues to test: {sum(map(len, true)):,}")

# %%
def structure_model(seed):
    """A fresh copy of the backbone with a new head for three states."""
    gc.collect()  # models of earlier runs go first: Python would let several pile up
    torch.manual_seed(seed)  # the head is drawn at random
    return pc.ResidueClassifier(copy.deepcopy(plm.model.esm), 3).to(plm.device)


def train_structure(prepare, rate, seed, data=train, epochs=sizes["epochs"], checked=validation):
    """Prepare and train one classifier: (model, history, predicted states of the test chains)."""
    model = prepare(structure_model(seed))
    history = pc.fit(model, data, checked, epochs=epochs, lr=rate, seed=seed, tokens_per_batch=sizes["tokens_per_batch"])
    return model, history, [rows.argmax(-1) for rows in pc.predict(model, test)]


def everything(model):
    """Full fine-tuning: all parameters are trainable."""
    return model.requires_grad_(True)


runs = {"full": [train_structure(everything, rates["full"], seed) for seed in range(sizes["seeds"])]}
runs["full"][0][1].style.format("{:.3f}")

# %% [markdown]
# A row per epoch; row 0 is the untrained head. Now ΔW of every query, key and value matrix, taken apart by singular values: each says how strong one
# direction is. For comparison the weights W themselves, and a matrix of random numbers.

# %%
def linear_layers(model):
    """The linear layers of an encoder, by name."""
    return {name: module for name, module in model.encoder.named_modules() if isinstance(module, nn.Linear)}


def spectrum(matrix):
    return torch.linalg.svdvals(matrix.detach().float().cpu()).numpy()


before, after = linear_layers(plm.model.esm), linear_layers(runs["full"][0][0].backbone)
attention = [name for name in before if name.split(".")[-1] in ("query", "key", "value")]
random = np.random.default_rng(0).normal(size=(len(attention), *before[attention[0]].weight.shape))
spectra = {"W": [spectrum(before[name].weight) for name in attention],
           "ΔW": [spectrum(after[name].weight - before[name].weight) for name in attention],
           "random": [spectrum(torch.tensor(matrix)) for matrix in random]}
kept = {name: np.array([np.cumsum(values**2) / max((values**2).sum(), 1e-30) for values in rows]) for name, rows in spectra.items()}
print(f"{len(attention)} matrices of {' × '.join(map(str, random.shape[1:]))}; share of the squared size that rank 8 keeps (median, range):")
for name, shares in kept.items():
    print(f"{name:8} {np.median(shares[:, 7]):5.1%}   ({shares[:, 7].min():.1%} to {shares[:, 7].max():.1%})")

# %% alt="Line plot of the share of a matrix that its strongest directions keep, against rank on a logarithmic axis, for W, the update and a random matrix, with bands for the range over matrices and a dashed line at rank 8."
fig, ax = plt.subplots(figsize=(7, 3.6))
ranks = np.arange(1, random.shape[1] + 1)
for (name, shares), line in zip(kept.items(), ("-", "--", ":")):
    drawn, = ax.plot(ranks, np.median(shares, 0), line, label={"ΔW": "ΔW, the update", "W": "W, the weights"}.get(name, name), linewidth=2)
    ax.fill_between(ranks, shares.min(0), shares.max(0), alpha=0.2, color=drawn.get_color(), linewidth=0)
ax.axvline(8, color="#404040", linestyle="--", linewidth=1)
ax.set(xscale="log", xlabel="rank: number of strongest directions kept", ylabel="share of the squared size", ylim=(0, 1.02))
ax.set_xticks([1, 2, 4, 8, 16, 32, 64, 128, 256], labels=[1, 2, 4, 8, 16, 32, 64, 128, 256])
ax.minorticks_off()
ax.legend();

# %% [markdown]
# *Lines: median over the matrices; bands: the range; dashed: rank 8. The squared size of a matrix is the sum of its squared entries, which is also the sum of its squared
# singular values. Where the line of ΔW lies above the two others, the update needs fewer directions than a matrix
# usually does. It still does not have to reach 1 at rank 8: "low rank" is a matter of degree.*
#
# A share of squared size is not yet a share of what the update *does*. So cut the update of every linear layer down to its strongest directions and
# test the model again. Embeddings, LayerNorms and head stay as trained.

# %%
def cut_to_rank(rank):
    """The fully trained model, its linear layers' updates reduced to the ``rank`` strongest directions."""
    model = copy.deepcopy(runs["full"][0][0])
    for name, layer in linear_layers(model.backbone).items():
        update = (layer.weight - before[name].weight).detach()
        u, strength, v = torch.linalg.svd(update, full_matrices=False)
        with torch.no_grad():
            layer.weight.copy_(before[name].weight + (u[:, :rank] * strength[:rank]) @ v[:rank])
    return model


cut = {f"rank {rank}": [[rows.argmax(-1) for rows in pc.predict(cut_to_rank(rank), test)]] for rank in (0, 1, 2, 4, 8, 16)}
cut["whole update"] = [runs["full"][0][2]]


def score_table(predictions, baseline, truth=true, classes=3):
    """Macro-F1 and its difference from the baseline, with 95 % intervals over test proteins and seeds; the best in bold."""
    table = pc.compare(truth, predictions, classes, baseline)
    shown = pd.DataFrame({"macro-F1": table["score"], "95 %": [f"{a:.3f} to {b:.3f}" for a, b in zip(table["low"], table["high"])],
                          "seeds": table["seeds"], f"minus {baseline}": table["difference"],
                          "95 % ": [f"{a:+.3f} to {b:+.3f}" for a, b in zip(table["difference_low"], table["difference_high"])]})
    style = shown.style.format({"macro-F1": "{:.3f}", f"minus {baseline}": "{:+.3f}"})
    return style.highlight_max(subset=["macro-F1"], props="font-weight: bold")


score_table(cut, "whole update")

# %% [markdown]
# Rank 0 undoes the update of all linear layers. (It is not the frozen model of section 6, whose head was trained on the old layers; this head was trained on new
# ones.) An interval of a difference that contains 0 says: these test chains cannot tell the two apart. Which rank does your update need? Bold is the largest number, here and below, and
# not a verdict: the intervals are.

# %% [markdown]
# ## 3. A layer with a low-rank update
#
# LoRA turns the observation round: if few directions are enough, *train* only a few. A linear layer W (out × in) is frozen, and beside it run two
# thin matrices: A (r × in) reads the input, B (out × r) writes to the output.
#
# $$h = W x + \text{bias} + \frac{\alpha}{r}\, B A x$$
#
# ### Exercise 6.1 · A LoRA layer · ◆◆ · 25 minutes
#
# Write the layer. A new one must change nothing at all, so that training starts from the pretrained model. Three things are easily missed: what is
# frozen, what dropout sees, and in which precision A and B are.


# %%
class LoRALinear(nn.Module):
    """A frozen linear layer plus a trainable update of rank r: base(x) + alpha / r · dropout(x) Aᵀ Bᵀ.

    Parameters
    ----------
    base : nn.Linear
        With or without a bias. It is frozen here, weight and bias, and otherwise kept as it is.
    r : int
        Rank of the update.
    alpha : float
        The update is multiplied by alpha / r.
    dropout : float
        Share of the inputs of A that is dropped, in training only; the frozen layer sees all of x.

    Attributes
    ----------
    base : the layer that was given, not a copy
    A : nn.Parameter, shape [r, in], drawn at random and small: of size 1 / √in or less, as
        ``nn.init.kaiming_uniform_(A, a=5**0.5)`` makes it
    B : nn.Parameter, shape [out, r], zeros
        Both in the dtype and on the device of base.weight.
    scaling : float, alpha / r

    Raises
    ------
    ValueError
        If r is below 1.
    """

    def __init__(self, base, r=8, alpha=16, dropout=0.0):
        super().__init__()
        ### BEGIN SOLUTION
        if r < 1:
            raise ValueError(f"the rank r is {r}, it must be at least 1")
        self.base = base.requires_grad_(False)
        like_base = {"dtype": base.weight.dtype, "device": base.weight.device}
        self.A = nn.Parameter(torch.randn(r, base.in_features, **like_base) / base.in_features**0.5)
        self.B = nn.Parameter(torch.zeros(base.out_features, r, **like_base))
        self.scaling = alpha / r
        self.dropout = nn.Dropout(dropout)
        ### END SOLUTION

    def forward(self, x):
        """[..., in] to [..., out]. With B at zero this is exactly base(x)."""
        ### BEGIN SOLUTION
        return self.base(x) + self.scaling * (self.dropout(x) @ self.A.T @ self.B.T)
        ### END SOLUTION


# %%
LoRALinear = pc.check("6.1", LoRALinear)

# %% [markdown]
# ### Nothing, to begin with
#
# Wrap the widening layer of the first block (it has different numbers of inputs and outputs, so shapes cannot be confused) and compare bit by bit.

# %%
torch.manual_seed(0)
wide = copy.deepcopy(plm.model.esm.encoder.layer[0].intermediate.dense)
x = torch.randn(5, wide.in_features, device=plm.device, dtype=plm.dtype)
expected = wide(x).detach()
layer = LoRALinear(wide, r=8, alpha=16)
assert torch.equal(layer(x), expected)
print("W:", list(wide.weight.shape), "  A:", list(layer.A.shape), "  B:", list(layer.B.shape), "  B A:", list((layer.B @ layer.A).shape))
print("a fresh layer gives exactly what the frozen one gives:", torch.equal(layer(x), expected))
numbers = layer.A.numel() + layer.B.numel()
print(f"{numbers:,} numbers to train instead of {wide.weight.numel():,}: {numbers / wide.weight.numel():.1%}")

# %% [markdown]
# > **The lecture says** that B is the down-projection and A the up-projection. **The shapes say** it is the other way round: x meets A first, which
# > takes it down to r numbers, and B takes them up to the size of the output. (In the product B A x, read from right to left.)
#
# ### The scale
#
# > **The lecture writes** the adapted weight as W + B A in one formula, and the output with α/r in the next. **The layer** has one answer:

# %%
with torch.no_grad():
    layer.B.normal_()  # as if it had been trained, and for long
    output = layer(x)
    for formula, matrix in (("W + B A", wide.weight + layer.B @ layer.A), ("W + α/r B A", wide.weight + layer.scaling * layer.B @ layer.A)):
        print(f"{formula:12} largest difference from the layer: {(F.linear(x, matrix, wide.bias) - output).abs().max():.7f}")

# %% [markdown]
# Why divide by r? B A is a sum of r terms. With α fixed, a higher rank gets a smaller factor, so that the size of the sum changes less, and a learning
# rate may stay where it was. Whether 1/r is the right power is another question: a later proposal, rsLoRA, uses 1/√r.
#
# ### Why one matrix starts at zero, and only one
#
# Someone who wants a fresh adapter to be silent might set both to zero. Look at the gradients of the first step.

# %%
def first_gradients(fill_a, fill_b):
    """Sizes of the gradients of A and B in the first step, for given starting values."""
    torch.manual_seed(0)
    fresh = LoRALinear(copy.deepcopy(wide), 8, 16)
    with torch.no_grad():
        fill_a(fresh.A)
        fill_b(fresh.B)
    silent = torch.equal(fresh(x), expected)
    fresh(x).square().mean().backward()
    return {"changes nothing at the start": silent, "gradient of A": fresh.A.grad.norm().item(), "gradient of B": fresh.B.grad.norm().item()}


def draw(matrix):
    nn.init.normal_(matrix, std=0.05)


starts = {"A random, B zero": (draw, nn.init.zeros_), "A zero, B random": (nn.init.zeros_, draw), "both zero": (nn.init.zeros_, nn.init.zeros_),
          "both random": (draw, draw)}
pd.DataFrame({name: first_gradients(*fill) for name, fill in starts.items()}).T.style.format("{:.3f}", subset=["gradient of A", "gradient of B"])

# %% [markdown]
# With B at zero, A gets no gradient in the first step, because whatever A does is multiplied by B. B does get one, leaves zero, and from the second
# step on both learn. With both at zero each waits for the other forever. The mirror image, A zero and B random, would do as well; B zero is the convention.
# Both random is not silent. And the size of the random one matters, too: with large numbers in A, the branch grows strong as soon as B leaves zero.
#
# ### Dropout, on the branch only

# %%
noisy = LoRALinear(wide, 8, 16, dropout=0.5).train()
print("fresh, in training, dropout 0.5: the same as the frozen layer:", torch.equal(noisy(x), expected))
with torch.no_grad():
    noisy.B.normal_()
    print("trained, in training: two calls agree:", torch.equal(noisy(x), noisy(x)))
    noisy.eval()
    print("trained, in eval mode: two calls agree:", torch.equal(noisy(x), noisy(x)))

# %% [markdown]
# The frozen path carries what the model knows. Only what the adapter adds is made noisy.

# %% [markdown]
# ## 4. Adapters in a model, and the trap
#
# Now every query, key or value layer of ESM-2 is to be replaced by its wrapped version. Two jobs in one function: replace, and make sure that nothing
# but the A and B matrices is trained.
#
# ### Exercise 6.2 · Inject LoRA · ◆◆ · 20 minutes
#
# The names of the layers end in "query", "key" and so on: `encoder.layer.0.attention.self.query`. Your `LoRALinear` is waiting above.


# %%
def inject_lora(model, targets=("query", "key", "value"), r=8, alpha=16):
    """Wrap the linear layers of these names, and freeze everything but their A and B.

    Parameters
    ----------
    model : nn.Module
        Changed in place: whatever was trainable before, afterwards only the A and B matrices are. The head is frozen, too;
        to train it is a separate step.
    targets : sequence of str
        A layer is wrapped if it is an nn.Linear and the last part of its name, behind the last dot, is one of these.
    r, alpha
        Handed on to LoRALinear.

    Returns
    -------
    the same model

    Raises
    ------
    ValueError
        If no linear layer has one of these names.
    """
    ### BEGIN SOLUTION
    chosen = [name for name, module in model.named_modules() if isinstance(module, nn.Linear) and name.split(".")[-1] in targets]
    if not chosen:
        raise ValueError(f"there is no linear layer called {' or '.join(targets)}")
    model.requires_grad_(False)
    for name in chosen:
        parent, _, last = name.rpartition(".")
        owner = model.get_submodule(parent)
        setattr(owner, last, LoRALinear(getattr(owner, last), r, alpha))
    return model
    ### END SOLUTION


# %%
inject_lora = pc.check("6.2", inject_lora)

# %% [markdown]
# > **The lecture's layer** freezes the layer that it wraps, and nothing else is said about freezing. **Count** what an optimizer would find if you
# > wrapped the query and value layers with it and began to train:

# %%
def count_trainable(model):
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def wrap_only(model, targets, r):
    """What the trap looks like: the layers are wrapped, the rest of the model is left as it was."""
    for name, module in list(model.named_modules()):
        if isinstance(module, nn.Linear) and name.split(".")[-1] in targets:
            parent, _, last = name.rpartition(".")
            setattr(model.get_submodule(parent), last, LoRALinear(module, r))
    return model


everything_trainable = copy.deepcopy(plm.model).requires_grad_(True)
trap = wrap_only(copy.deepcopy(everything_trainable), ("query", "value"), 8)
proper = inject_lora(copy.deepcopy(everything_trainable), ("query", "value"), 8, 16)
for text, model in (("before", everything_trainable), ("only wrapped", trap), ("inject_lora", proper)):
    print(f"{text:13} {count_trainable(model):>13,} trainable")
dim, depth = plm.config.hidden_size, plm.config.num_hidden_layers
expected_count = depth * 2 * 8 * (dim + dim)
print(f"expected: {depth} layers · 2 targets · 8 · ({dim} + {dim}) = {expected_count:,}")
assert count_trainable(proper) == expected_count

# %% [markdown]
# The trap makes no noise. Training works, the score is fine, it is just not LoRA: nearly everything is trained, with the memory and the file of full
# fine-tuning. One line tells: **count before you train.**
#
# Does the backward pass agree? One step, and a list of everything that got a gradient.

# %%
tokens = plm.tokenize([chain["sequence"][:40] for chain in chains[:2]])
proper(input_ids=tokens, attention_mask=tokens != 1).logits.square().mean().backward()
reached = {name.split(".")[-1] for name, parameter in proper.named_parameters() if parameter.grad is not None}
idle = [name for name, parameter in proper.named_parameters() if parameter.requires_grad and parameter.grad is None]
print("parameters with a gradient are called:", sorted(reached), "· trainable ones without:", idle)
assert reached == {"A", "B"} and not idle

# %% [markdown]
# ## 5. How many parameters?
#
# The count decides about memory and about the size of the file you store per task. It can be had on paper, for any size, without any weights.
#
# ### Exercise 6.3 · Count · ◆ · 15 minutes
#
# transformers' classification head is two linear layers on the `<cls>` token, dim → dim and dim → labels. It is trained whole, so it counts. Each
# block of ESM-2 has the linear layers query, key and value (dim → dim), and three that are all called "dense": one behind the attention (dim →
# dim), two in the feed-forward network (dim → intermediate and back).


# %%
def lora_parameters(config, targets=("query", "key", "value"), r=8, num_labels=2):
    """Trainable parameters of ESM-2 with LoRA and transformers' sequence classification head.

    Parameters
    ----------
    config : has hidden_size, intermediate_size and num_hidden_layers
    targets : sequence of str
        Out of "query", "key", "value" and "dense"; "dense" means all three layers of that name in each block. The head's own
        layers are not wrapped.
    r, num_labels : int

    Returns
    -------
    int
        A and B of every wrapped layer, and the head, once, with its biases.

    Raises
    ------
    ValueError
        For any other target.
    """
    ### BEGIN SOLUTION
    dim, wide = config.hidden_size, config.intermediate_size
    shapes = {"query": [(dim, dim)], "key": [(dim, dim)], "value": [(dim, dim)], "dense": [(dim, dim), (dim, wide), (wide, dim)]}
    for target in targets:
        if target not in shapes:
            raise ValueError(f"ESM-2 has no linear layer called {target!r}")
    per_block = sum(r * (fan_in + fan_out) for target in targets for fan_in, fan_out in shapes[target])
    head = dim * dim + dim + dim * num_labels + num_labels
    return config.num_hidden_layers * per_block + head
    ### END SOLUTION


# %%
lora_parameters = pc.check("6.3", lora_parameters)

# %% [markdown]
# A formula is worth a second opinion. Build the 650M model with **peft**, the library that most people use for LoRA, on PyTorch's `meta` device: tensors
# there have a shape and no numbers, so it takes no memory. `task_type` tells peft what the model is for; with `SEQ_CLS` it knows that the head is new and has
# to be trained and saved.

# %%
import peft
from transformers import EsmForSequenceClassification, EsmForTokenClassification


class SequenceModel(EsmForSequenceClassification):
    """transformers' classifier for whole sequences."""

    # peft 0.21 asks for this name, which transformers 5 has renamed: with the new attribute under the old name nobody has to warn
    is_gradient_checkpointing = EsmForSequenceClassification.is_activation_checkpointing


class TokenModel(EsmForTokenClassification):
    """transformers' classifier for each token."""

    is_gradient_checkpointing = EsmForTokenClassification.is_activation_checkpointing


# %% [markdown]
# The two small classes only change a name. Now count, with peft and with your formula:

# %%
def sized_config(name, labels=2):
    """The configuration of one of the published sizes, with this many labels."""
    size, config = pc.FAMILY[name], copy.deepcopy(plm.config)
    config.hidden_size, config.num_hidden_layers, config.num_attention_heads = size.dim, size.layers, size.heads
    config.intermediate_size, config.num_labels = 4 * size.dim, labels
    return config


def lora_config(task, targets=("query", "key", "value"), r=8, alpha=16):
    return peft.LoraConfig(task_type=task, target_modules=list(targets), r=r, lora_alpha=alpha)


def count_with_peft(name, targets=("query", "key", "value")):
    """Trainable and all parameters as peft counts them, and the head, which peft holds twice."""
    with torch.device("meta"):
        model = SequenceModel(sized_config(name))
        head = sum(parameter.numel() for parameter in model.classifier.parameters())
        trainable, total = peft.get_peft_model(model, lora_config(peft.TaskType.SEQ_CLS, targets)).get_nb_trainable_parameters()
    return trainable, total, head


for name in ("8M", "650M"):
    trainable, total, head = count_with_peft(name)
    formula = lora_parameters(sized_config(name))
    print(f"{name:>5}: {formula:>9,} by formula, {trainable:>9,} counted by peft, of {total:,} = {trainable / total:.4%}; "
          f"with the head once {trainable / (total - head):.4%}")
    assert trainable == formula

# %% [markdown]
# peft keeps the head's untrained original beside the copy that it trains, and counts both in the total. With the head counted once the share is a little
# larger.
#
# > **The lecture prints** "trainable params: 1,327,106 || all params: 652,528,898 || trainable%: 0.20" for the 650M model with query, key and value, r = 8 and
# > 2 labels. **The count says** otherwise. Could the number belong to other settings? Search: every choice of layers, every rank up to 256,
# > 1 to 50 labels, with transformers' head, with a single linear layer as head, and with none.

# %%
def counts(config, labels):
    """All counts of trainable parameters that some choice of targets, rank and head would give, as (count, description)."""
    single, whole = config.hidden_size * labels + labels, lora_parameters(config, (), 8, labels)
    for number in range(1, 5):
        for targets in itertools.combinations(("query", "key", "value", "dense"), number):
            per_rank = lora_parameters(config, targets, 1, labels) - whole
            for r in range(1, 257):
                for name, head in (("whole head", whole), ("single layer", single), ("no head", 0)):
                    yield r * per_rank + head, (targets, r, labels, name)


claimed = 1_327_106
config = sized_config("650M")
found = [setting for labels in range(1, 51) for count, setting in counts(config, labels) if count == claimed]
print(f"settings that give {claimed:,}: {found or 'none'}")
print(f"the head alone: {lora_parameters(config, ()):,}; the adapters alone: {lora_parameters(config) - lora_parameters(config, ()):,}")

# %% [markdown]
# With two labels the head alone has more parameters than the number claims. An output copied into a text is not an output: run it.
#
# The share depends on the size of the model. "Less than 1 %" is a statement about large ones:

# %%
rows, memory = {}, {}
for name, size in pc.FAMILY.items():
    config = sized_config(name)
    trained = lora_parameters(config)
    # the published count has a language-model head (tied to the embedding) where the classifier has its own
    language_head = size.dim**2 + 3 * size.dim + 33
    total = size.parameters - language_head + trained
    rows[name] = {"q, v": f"{lora_parameters(config, ('query', 'value')):,}", "q, k, v": f"{trained:,}",
                  "all linear": f"{lora_parameters(config, ('query', 'key', 'value', 'dense')):,}",
                  "q, k, v, share of all": f"{trained / total:.2%}"}
    memory[name] = {"full": 16 * size.parameters / 1e9, "LoRA q, k, v": (4 * total + 12 * trained) / 1e9,
                    "LoRA, backbone in bfloat16": (2 * (total - trained) + 16 * trained) / 1e9}
pd.DataFrame(rows).T.style.set_caption("trainable parameters with r = 8 and 2 labels")

# %%
pd.DataFrame(memory).T.style.format("{:.2f}").set_caption("GB for weights, gradients and Adam, before any activation")

# %% [markdown]
# LoRA gets rid of nearly all gradients and of nearly all of Adam, so about a quarter of the memory stays: the weights. They are frozen, so they may be kept in half precision.

# %% [markdown]
# ## 6. Training with it
#
# Wrap, then thaw the head: a separate step, and a visible one.

# %%
def with_lora(model, targets=("query", "key", "value"), r=8, alpha=16):
    """A classifier whose adapters and head are trainable."""
    inject_lora(model, targets, r, alpha)
    model.head.requires_grad_(True)
    return model


def frozen_backbone(model):
    """A classifier of which only the head is trainable."""
    return pc.thaw(model, 0)


torch.manual_seed(0)
example = with_lora(structure_model(0))
adapters = sum(parameter.numel() for name, parameter in example.named_parameters() if name.split(".")[-1] in "AB")
print(f"trainable: {count_trainable(example):,} = {adapters:,} in the adapters + {count_trainable(example.head):,} in the head")
assert count_trainable(example) == adapters + count_trainable(example.head)

# %%
for name, prepare in (("frozen", frozen_backbone), ("LoRA", with_lora)):
    runs[name] = [train_structure(prepare, rates[name], seed) for seed in range(sizes["seeds"])]

# %% alt="Line plot of validation macro-F1 against epoch for frozen backbone, LoRA and full fine-tuning, one thin line per seed."
fig, ax = plt.subplots(figsize=(6.5, 3.6))
for (name, style), colour in zip({"frozen": ":", "LoRA": "-", "full": "--"}.items(), sns.color_palette("colorblind")):
    for seed, (_, history, _) in enumerate(runs[name]):
        ax.plot(history.index, history["macro_f1"], style, marker="o", color=colour, label=name if seed == 0 else None)
ax.set(xlabel="epoch", ylabel="macro-F1, validation chains")
ax.legend(loc="lower right");

# %% [markdown]
# *One line per seed. `pc.fit` keeps the weights of the best epoch. These are validation scores, used to stop training; the test chains wait until section
# 10, where the three are compared with a baseline and intervals.*

# %% [markdown]
# ## 7. Merge, and take out again
#
# In use, the branch costs two extra multiplications per wrapped layer. They can be saved: W x + scaling · B A x is (W + scaling · B A) x, one matrix.
#
# ### Exercise 6.4 · Merge · ◆◆ · 15 minutes
#
# Of the layer you get, use only `base`, `A`, `B` and `scaling` (alpha / r).


# %%
def merge(layer):
    """A plain linear layer that computes what the LoRA layer computes in eval mode.

    Parameters
    ----------
    layer : LoRALinear
        With base, A, B and scaling. It is left as it is, so that nothing is lost by merging.

    Returns
    -------
    nn.Linear
        A new one, in the dtype and on the device of ``layer.base``, with a bias if that has one. The sum is taken in float32 or
        better, and rounded once.
    """
    ### BEGIN SOLUTION
    base = layer.base
    precise = torch.promote_types(base.weight.dtype, torch.float32)
    merged = nn.Linear(base.in_features, base.out_features, base.bias is not None, dtype=base.weight.dtype, device=base.weight.device)
    with torch.no_grad():
        merged.weight.copy_(base.weight.to(precise) + layer.scaling * (layer.B.to(precise) @ layer.A.to(precise)))
        if base.bias is not None:
            merged.bias.copy_(base.bias)
    return merged
    ### END SOLUTION


# %%
merge = pc.check("6.4", merge)

# %% [markdown]
# Now a whole model: each adapter replaced by what a function makes of it. With `merge` the adapters move into the weights; with `lambda layer: layer.base`
# they are thrown away, and the pretrained model is back.

# %%
def replace_adapters(model, function):
    """A copy of the model with function(layer) in the place of each LoRA layer."""
    model = copy.deepcopy(model)
    for name, module in list(model.named_modules()):
        if all(hasattr(module, part) for part in ("base", "A", "B")):
            parent, _, last = name.rpartition(".")
            setattr(model.get_submodule(parent), last, function(module))
    return model.eval()


adapted = runs["LoRA"][0][0]
merged = replace_adapters(adapted, merge)
bare = replace_adapters(adapted, lambda layer: layer.base)
tokens = plm.tokenize([chain["sequence"][:60] for chain in chains[:8]])
with torch.no_grad():
    logits = adapted(tokens)
    change = (merged(tokens) - logits).abs().max().item()
    effect = (bare(tokens) - logits).abs().max().item()
    restored = torch.equal(bare.backbone(tokens, attention_mask=tokens != 1).last_hidden_state,
                           plm.model.esm(tokens, attention_mask=tokens != 1).last_hidden_state)
print(f"largest change of a logit by merging: {change:.1e}; by throwing the adapters away: {effect:.2f}")
print("hidden states of the backbone without its adapters and of the pretrained one are equal, bit by bit:", restored)
assert change < 1e-5 * max(1, logits.abs().max().item()) and restored

# %% [markdown]
# Is it faster? Times on a shared machine jump, so the three models take turns, and only ratios within one round are compared.

# %%
def time_ratios(actions, reference, rounds=7):
    """Run all actions in turn, several rounds: table with median, lowest and highest ratio of times to the reference."""
    def seconds(action):
        start = time.perf_counter()
        action()
        if plm.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - start

    for action in actions.values():
        action()  # the first call prepares memory
    times = pd.DataFrame([{name: seconds(action) for name, action in actions.items()} for _ in range(rounds)])
    ratios = times.div(times[reference], axis=0)
    return pd.DataFrame({f"time / time of {reference}": ratios.median(), "lowest": ratios.min(), "highest": ratios.max(), "rounds": rounds})


@torch.no_grad()
def read(model):
    model(tokens)


forward = {"pretrained": bare, "with adapters": adapted, "merged": merged}
time_ratios({name: (lambda model=model: read(model)) for name, model in forward.items()}, "pretrained").style.format(precision=2)

# %% [markdown]
# Where a range contains 1, no difference is shown. What to expect: "merged" does the very same work as "pretrained".
#
# ### Unmerging, and the price of half precision
#
# An adapter that was merged can be subtracted again. In exact arithmetic that gives W back.

# %%
def merge_and_unmerge(layer, dtype):
    """What merging in this precision does to the update, and what subtracting it again leaves of W."""
    exact = layer.scaling * (layer.B @ layer.A).detach().double()
    weight, update = layer.base.weight.detach().to(dtype), exact.to(dtype)
    merged = weight + update
    arrived, back = merged.double() - weight.double(), merged - update
    return {"lost of the update": ((arrived - exact).norm() / exact.norm()).item(),
            "largest change of a weight, there and back": (back.double() - weight.double()).abs().max().item()}


one = adapted.backbone.encoder.layer[-1].attention.self.value
table = pd.DataFrame({str(dtype).removeprefix("torch."): merge_and_unmerge(one, dtype) for dtype in (torch.float32, torch.bfloat16)}).T
table.style.format({"lost of the update": "{:.4%}", "largest change of a weight, there and back": "{:.1e}"})

# %% [markdown]
# Sums are rounded to the digits that the dtype has, and bfloat16 has two to three. A small update beside a large weight loses most: the first column is the size of what did not arrive, relative to the update. Whoever wants the pretrained model back keeps its weights, or the adapter apart, and does not subtract. (And whoever merges
# twice has the update in twice. Your `merge` makes a new layer, so it cannot happen by accident.)

# %% [markdown]
# ## 8. The same with peft
#
# peft does what your two functions do, for many kinds of models, and saves and loads adapters. A library should agree with what you understand, so: give it *your* trained A and B, and compare.
#
# `TOKEN_CLS` is the task type for a label per token. The model is built from the configuration, and a copy of the pretrained backbone is put into it; what is left over is the
# head, which gets yours.

# %%
def transformers_model(kind, labels, backbone=None):
    """transformers' classifier on a copy of the pretrained backbone, or on the backbone that is given."""
    config = copy.deepcopy(plm.config)
    config.num_labels = labels
    torch.manual_seed(0)  # its head is drawn at random
    model = kind(config)
    model.esm = copy.deepcopy(plm.model.esm) if backbone is None else backbone
    return model.to(plm.device, plm.dtype).eval()


def copy_into_peft(own, model):
    """Copy A and B of every layer, and the head, from the course's classifier into a peft model."""
    layers = dict(own.backbone.named_modules())
    with torch.no_grad():
        for name, module in model.get_base_model().esm.named_modules():
            if hasattr(module, "lora_A"):
                module.lora_A["default"].weight.copy_(layers[name].A)
                module.lora_B["default"].weight.copy_(layers[name].B)
        head = model.get_base_model().classifier.modules_to_save["default"]
        head.load_state_dict(own.head[1].state_dict())


structure_peft = peft.get_peft_model(transformers_model(TokenModel, 3), lora_config(peft.TaskType.TOKEN_CLS)).eval()
copy_into_peft(adapted, structure_peft)
with torch.no_grad():
    difference = (structure_peft(input_ids=tokens, attention_mask=tokens != 1).logits - adapted(tokens)).abs().max().item()
print(f"largest difference of a logit between peft's model and yours: {difference:.1e}")
assert difference < 1e-5

# %% [markdown]
# The same layer, then. What is trainable in peft's model, and does it count as we do? Note the head: `modules_to_save` is peft's way to say "this part is new: train it, and store it with the adapter".

# %%
trainable = [name for name, parameter in structure_peft.named_parameters() if parameter.requires_grad]
kinds = sorted({name.split(".layer.")[0] + " … " + ".".join(name.split(".")[-3:]) if "lora" in name else name for name in trainable})
print("\n".join(kinds))
assert structure_peft.get_nb_trainable_parameters()[0] == count_trainable(adapted)

# %% [markdown]
# ### Save, and load again
#
# `save_pretrained` writes the adapter and the head, and not the backbone. Look into the file before you trust it.

# %%
from safetensors.torch import load_file

folder = tempfile.TemporaryDirectory(prefix="plmcourse-")
structure_folder = Path(folder.name, "structure")
structure_peft.save_pretrained(structure_folder, save_embedding_layers=False)  # the embedding is the backbone's
stored = load_file(structure_folder / "adapter_model.safetensors")
for name in ("classifier", "lora_A", "lora_B"):
    chosen = {key: list(tensor.shape) for key, tensor in stored.items() if name in key}
    print(f"{name:10} {len(chosen):3} tensors, such as {next(iter(chosen))}  {next(iter(chosen.values()))}")
adapter_bytes = (structure_folder / "adapter_model.safetensors").stat().st_size
model_bytes = sum(parameter.numel() * parameter.element_size() for parameter in plm.model.parameters())
print(f"the file: {adapter_bytes:,} bytes; the whole model: {model_bytes:,} bytes, {model_bytes / adapter_bytes:.0f} times as many")
assert any("classifier" in key for key in stored)

# %%
@torch.no_grad()
def peft_logits(model, tokens=tokens):
    return model(input_ids=tokens, attention_mask=tokens != 1).logits


reloaded = peft.PeftModel.from_pretrained(transformers_model(TokenModel, 3), structure_folder).eval()
print("a fresh backbone with the loaded adapter gives the same logits, bit by bit:", torch.equal(peft_logits(reloaded), peft_logits(structure_peft)))
assert torch.equal(peft_logits(reloaded), peft_logits(structure_peft))

# %% [markdown]
# With the wrong task type (or none) peft does not know that the head is new: it freezes it, at random values, and leaves it out of the file.

# %%
for task in (peft.TaskType.TOKEN_CLS, peft.TaskType.FEATURE_EXTRACTION):
    model = peft.get_peft_model(transformers_model(TokenModel, 3), lora_config(task))
    heads = [name for name, parameter in model.named_parameters() if "classifier" in name and parameter.requires_grad]
    print(f"{task.value:20} trainable parameters in the head: {len(heads)}")

# %% [markdown]
# ### A second task
#
# Where in the cell does a protein live? Five places, one label per protein. This adapter is trained with peft all the way, with `pc.fit`, which takes its models too. The training set has equally many proteins
# of each place.

# %%
localisation = pc.datasets.load("localisation")
places = sorted(localisation["label"].unique())


def place_examples(split, proteins, balanced=False):
    """Examples of the localisation set: token ids of the first residues, and the number of the place."""
    rows = localisation[localisation["split"] == split].sample(frac=1, random_state=0)
    rows = rows.groupby("label").head(proteins // len(places)) if balanced else rows.head(proteins)
    sequences = [sequence[:sizes["protein_residues"]] for sequence in rows["sequence"]]
    return pc.examples(plm, sequences, [places.index(label) for label in rows["label"]])


n = sizes["proteins"]
place_train = place_examples("train", n, balanced=True)
place_validation, place_test = place_examples("validation", n // 3), place_examples("test", n)
place_peft = peft.get_peft_model(transformers_model(SequenceModel, len(places)), lora_config(peft.TaskType.SEQ_CLS))
place_history = pc.fit(place_peft, place_train, place_validation, epochs=sizes["protein_epochs"], lr=rates["LoRA"], seed=0,
                       tokens_per_batch=sizes["tokens_per_batch"])
place_folder = Path(folder.name, "place")
place_peft.save_pretrained(place_folder, save_embedding_layers=False)
place_history.style.format("{:.3f}")

# %% [markdown]
# (On a CPU the validation set is small: single epochs jump.)
#
# ### Two adapters, one backbone
#
# Now the point of small files: one backbone in memory, two tasks, and a switch. Two peft models share the module `esm`; each brings its own head. Every wrapped layer then holds two A and two B,
# under the names of the adapters.

# %%
shared = copy.deepcopy(plm.model.esm)
structure_task = peft.PeftModel.from_pretrained(transformers_model(TokenModel, 3, shared), structure_folder, adapter_name="structure").eval()
place_task = peft.PeftModel.from_pretrained(transformers_model(SequenceModel, len(places), shared), place_folder, adapter_name="place").eval()
query = shared.encoder.layer[0].attention.self.query
print("the first query layer holds the adapters", list(query.lora_A), "· one backbone:", structure_task.get_base_model().esm is place_task.get_base_model().esm)
for turn in (1, 2):
    structure_task.set_adapter("structure")
    structure_same = torch.equal(peft_logits(structure_task), peft_logits(structure_peft))
    place_task.set_adapter("place")
    place_same = torch.equal(peft_logits(place_task), peft_logits(place_peft))
    print(f"turn {turn}: structure as before {structure_same}, place as before {place_same}, bit by bit")
    assert structure_same and place_same

# %% [markdown]
# `set_adapter` flips the switch in the shared layers, so the model that was used last decides. Forget it, and the head of one task reads the backbone of the other: no error, only nonsense. How much does that cost?

# %%
def place_scores(adapter):
    """Predicted places of the test proteins with one of the adapters switched on."""
    place_task.set_adapter("place")
    if adapter != "place":
        structure_task.set_adapter(adapter)
    return np.array([row.argmax() for row in pc.predict(place_task, place_test)])


def composition(data):
    return np.array([np.bincount(tokens.cpu(), minlength=33)[4:24] / (len(tokens) - 2) for tokens, _ in data])


place_true = np.array([label for _, label in place_test])
by_letters = LogisticRegression(C=1000, max_iter=3000).fit(composition(place_train), [label for _, label in place_train])
commonest = np.full(len(place_true), np.bincount(place_true).argmax())  # of the test set: the training set has no commonest
place_predictions = {"baseline: composition": [by_letters.predict(composition(place_test))], "baseline: commonest place": [commonest],
                     "its own adapter": [place_scores("place")], "the other task's adapter": [place_scores("structure")]}
score_table(place_predictions, "baseline: composition", place_true, len(places))

# %% [markdown]
# Five places, few proteins, and on a CPU only the beginning of each: look at the intervals before you believe an order. The switch itself is exact.
#
# Is the pretrained model still there? Switch all adapters off for a moment, and then take them out for good.

# %%
def same_as_pretrained():
    with torch.no_grad():
        return torch.equal(shared(tokens, attention_mask=tokens != 1).last_hidden_state,
                           plm.model.esm(tokens, attention_mask=tokens != 1).last_hidden_state)


print("adapter on:    backbone equal to the pretrained one, bit by bit:", same_as_pretrained())
with place_task.disable_adapter():
    print("adapter off:  ", same_as_pretrained())
    assert same_as_pretrained()
place_task.unload()
pretrained_state = plm.model.esm.state_dict()
print("taken out:    ", same_as_pretrained(), "· every tensor equal:",
      all(torch.equal(tensor, pretrained_state[name]) for name, tensor in shared.state_dict().items()))
assert same_as_pretrained()

# %% [markdown]
# ## 9. Which rank, which layers?
#
# Two knobs. We turn one at a time, on a small training set, several seeds each. α is always 2r, so the factor α/r stays the same and only the number of directions
# changes.
#
# > **The lecture says** query and value, and its code takes query, key and value. **A study** on protein interactions (Sledzieski et al. 2024) found key and value best. **Your table** is the next
# > opinion, on one task and one model.

# %%
choices = {f"q, k, v · r = {r}": (("query", "key", "value"), r) for r in (1, 2, 8, 32)}
choices |= {"q, v · r = 8": (("query", "value"), 8), "k, v · r = 8": (("key", "value"), 8),
            "all linear · r = 8": (("query", "key", "value", "dense"), 8)}
few = {"data": train[:sizes["sweep_chains"]], "checked": validation[:len(validation) // 2], "epochs": sizes["sweep_epochs"]}
sweep, sweep_parameters = {}, {}
for name, (targets, r) in choices.items():
    def prepare(model, targets=targets, r=r):
        return with_lora(model, targets, r, alpha=2 * r)

    found = [train_structure(prepare, rates["LoRA"], seed, **few) for seed in range(sizes["sweep_seeds"])]
    sweep[name] = [predicted for _, _, predicted in found]
    sweep_parameters[name] = count_trainable(found[0][0])
found = [train_structure(frozen_backbone, rates["frozen"], seed, **few) for seed in range(sizes["sweep_seeds"])]
sweep = {"baseline: head only": [predicted for _, _, predicted in found]} | sweep
sweep_parameters["baseline: head only"] = count_trainable(found[0][0])

# %%
swept = pc.compare(true, sweep, 3, "q, k, v · r = 8")
score_table(sweep, "q, k, v · r = 8")

# %% alt="Dots with horizontal intervals: macro-F1 of head only, four ranks and three choices of layers, each labelled with its number of trainable parameters."
rows = {f"{name}  ({sweep_parameters[name]:,})": tuple(swept.loc[name, ["score", "low", "high"]]) for name in swept.index}
ax = pc.plots.intervals(rows, "macro-F1 on the test chains, 95 % interval over chains and seeds")
ax.set_ylabel("adapter (trainable parameters)");

# %% [markdown]
# *Dots: mean over seeds. The intervals hold the luck of the test chains and of the seeds. All models see the same test chains, so the differences in the table above are sharper than the overlap of these
# bars suggests.*

# %%
order = swept[(swept["difference_low"] > 0) | (swept["difference_high"] < 0)].drop(index="q, k, v · r = 8", errors="ignore")
for name, row in order.iterrows():
    print(f"{name} is {'better' if row['difference'] > 0 else 'worse'} than q, k, v · r = 8: "
          f"{row['difference']:+.3f} ({row['difference_low']:+.3f} to {row['difference_high']:+.3f})")
print(f"{len(swept) - 1 - len(order)} of {len(swept) - 1} settings cannot be told from q, k, v · r = 8 here")

# %% [markdown]
# Many settings were compared, and of twenty 95 % intervals one excludes 0 by luck alone: a single one that stands out is not much. And there are few seeds: this is an example of how to sweep, not
# a verdict.

# %% [markdown]
# ## 10. Frozen, LoRA, full: what you get and what you pay
#
# ### Score
#
# A baseline that has never seen a protein language model: logistic regression on a one-hot window of 15 residues, trained on the same chains.

# %%
def windows(data, reach=7):
    """One-hot letters of each residue and its neighbours, a matrix [L, 15 · 20] per chain."""
    found = []
    for tokens, _ in data:
        letters = F.one_hot(tokens[1:-1].cpu() - 4, 25).float()[:, :20]
        found.append(F.pad(letters, (0, 0, reach, reach)).unfold(0, 2 * reach + 1, 1).flatten(1).numpy())
    return found


window_model = LogisticRegression(C=0.1, max_iter=500).fit(np.concatenate(windows(train)), np.concatenate([labels for _, labels in train]))
final = {"baseline: one-hot window": [[window_model.predict(rows) for rows in windows(test)]]}
final |= {name: [predicted for _, _, predicted in runs[name]] for name in ("frozen", "LoRA", "full")}
score_table(final, "frozen")

# %% alt="Dots with horizontal intervals: macro-F1 on the test chains of the one-hot baseline, the frozen backbone, LoRA and full fine-tuning."
compared = pc.compare(true, final, 3, "frozen")
pc.plots.intervals({name: tuple(compared.loc[name, ["score", "low", "high"]]) for name in compared.index},
                   "macro-F1 on the test chains, 95 % interval over chains and seeds");

# %%
window = "baseline: one-hot window"
for one, other in (("frozen", window), ("LoRA", window), ("full", window), ("LoRA", "frozen"), ("full", "frozen"), ("LoRA", "full")):
    row = pc.compare(true, final, 3, other).loc[one]
    supported = row["difference_low"] > 0 or row["difference_high"] < 0
    print(f"{one} minus {other}: {row['difference']:+.3f} ({row['difference_low']:+.3f} to {row['difference_high']:+.3f}): "
          f"{'an order is supported' if supported else 'no order is supported'}")

# %% [markdown]
# The first three lines ask whether the language model was worth its trouble. Where they support no order, these weights and so few short chains show no gain over counting letters, and the comparison
# of the three strategies is one of costs.
#
# Mind the sizes. On a CPU a few dozen chains are trained on and a few dozen tested; that is enough to see a large difference and not a small one. Where an interval contains 0, "they are equal" does not follow either: these data
# cannot tell. Published comparisons with thousands of proteins find the order to depend on task and model: sometimes full fine-tuning is ahead, sometimes LoRA, sometimes nothing beats the head.
#
# ### Time per step
#
# One step (forward, backward, update) on the same batch, the three in turn.

# %%
batch = torch.randint(4, 24, (16, 66), generator=torch.Generator().manual_seed(0)).to(plm.device)
batch[:, 0], batch[:, -1] = 0, 2


def new_step(prepare):
    """A function that does one training step of a fresh classifier on ``batch``."""
    model = prepare(structure_model(0)).train()
    optimizer = torch.optim.AdamW([parameter for parameter in model.parameters() if parameter.requires_grad], lr=1e-6)

    def step():
        model(batch).float().square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


strategies = {"frozen": frozen_backbone, "LoRA": with_lora, "full": everything}
step_ratios = time_ratios({name: new_step(prepare) for name, prepare in strategies.items()}, "full")
step_ratios.style.format(precision=2)

# %% [markdown]
# > **The lecture says** that LoRA is efficient. **That need not mean fast**: measured elsewhere (Schmirler et al. 2024, on GPUs), a step with LoRA took 1.15 times as long as one of full fine-tuning for the 8M model (published as
# > a speed of 0.87×), and 0.38 times as long for 650M (a speed of 2.66×). Compare your LoRA row. LoRA saves the gradients of the weight matrices and most of the optimizer's work, and adds two multiplications per wrapped layer. The backward pass through the backbone stays. Which side wins depends on the size of the model and on the machine: see your ratio and its spread.
#
# ### Memory
#
# How much memory does one step need *on top of the weights*: activations, gradients, Adam? PyTorch's profiler writes down each piece of memory that is taken and given back; the largest running sum is the peak. (On a GPU, its allocator keeps that number.)

# %%
from torch.profiler import ProfilerActivity, profile


def peak_bytes(prepare):
    """Largest memory in use during two steps, on top of what was there before. In the second, Adam's averages are there from the start."""
    step = new_step(prepare)
    if plm.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        already = torch.cuda.memory_allocated()
        step()
        step()
        return torch.cuda.max_memory_allocated() - already
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        step()
        step()
    events = [event for event in recorded.profiler.kineto_results.events() if event.name() == "[memory]"]
    return int(np.cumsum([event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())]).max())


costs = {}
for name, prepare in strategies.items():
    model = prepare(structure_model(0))
    trained = sum(p.numel() * p.element_size() for p in model.parameters() if p.requires_grad)
    costs[name] = {"trainable": count_trainable(model), "peak of a step / MB": peak_bytes(prepare) / 1e6,
                   "gradients and Adam / MB": 3 * trained / 1e6, "stored per task / MB": trained / 1e6}
costs = pd.DataFrame(costs).T
costs.style.format({"trainable": "{:,.0f}"} | {name: "{:.2f}" for name in costs.columns[1:]})

# %% alt="Horizontal bars for frozen, LoRA and full: the measured peak of memory in a step on top of the weights, and the computed size of gradients and Adam."
shown = costs.iloc[::-1][["gradients and Adam / MB", "peak of a step / MB"]]
ax = shown.plot.barh(figsize=(8, 3), width=0.7, color=[sns.color_palette("colorblind")[1], sns.color_palette("colorblind")[0]])
ax.set(xlabel=f"memory on top of the weights / MB (batch of {batch.shape[0]} × {batch.shape[1]} tokens)")
handles, _ = ax.get_legend_handles_labels()
ax.legend(handles[::-1], ["peak of a step, measured", "gradients and Adam, computed"], loc="center left", bbox_to_anchor=(1, 0.5));

# %% [markdown]
# *The weights themselves come on top, the same for all three. Gradients and Adam are 12 bytes per trainable parameter in float32. Most of what else makes up the peak is activations.* (The two do not simply add up: Adam's averages
# are there all the time, but activations are given back while gradients come in.)
#
# Compare LoRA with full: what LoRA saves for certain is the short bar. The activations stay, because the gradient must travel back through every block to reach the first adapter; with a frozen backbone nothing travels, and they are never kept. With a larger
# batch or longer proteins the activations grow, and gradients and Adam do not: whoever runs out of memory there gains little from LoRA.
#
# "Stored per task" is what you keep for each new task when the backbone is on disk already. Full fine-tuning needs a whole model every time.

# %% [markdown]
# ## 11. Does it forget?
#
# > **The lecture says** that LoRA eliminates catastrophic forgetting. Two statements hide in that. The pretrained weights are untouched, so they can be had back: true, and tested above, bit by bit. The *adapted* model still does what it could do before: that is a
# > question for measurement.
#
# The old skill is filling in masked residues. Put each backbone under the old language-model head and compute the masked perplexity on held-out proteins, with the same masks for all models. (The course's checkpoint has never seen these proteins, Meta's may have: what counts is the change.)
# Two more rows: the adapter for places, and one that is trained carelessly, with five times the learning rate (`pc.fit` keeps its best epoch; epoch 0 would be the untrained model). A perplexity of 20 is that of guessing
# among 20 letters; above it a model is sure of the wrong ones.

# %%
heldout = [sequence[:100] for sequence in pc.datasets.load("pretrain_heldout").values()][:sizes["heldout"]]


def with_old_head(backbone):
    """The language model with another backbone; its output weight stays tied to the backbone's embedding."""
    model = copy.deepcopy(plm.model)
    model.esm = backbone
    model.lm_head.decoder.weight = backbone.embeddings.word_embeddings.weight
    return dataclasses.replace(plm, model=model.eval())


def masked_loss(backbone):
    """Summed loss and number of masked residues, per protein."""
    losses = pc.pretraining.masked_nll(with_old_head(backbone), heldout)
    return np.array([loss.sum().item() for loss in losses]), np.array([len(loss) for loss in losses])


def perplexity_ratio(loss, loss_before, number):
    return math.exp((loss.sum() - loss_before.sum()) / number.sum())


pretrained_loss, number = masked_loss(plm.model.esm)
careless, careless_history, _ = train_structure(with_lora, 5 * rates["LoRA"], 0)
careless_name = f"LoRA, learning rate × 5, best epoch {careless_history['macro_f1'].idxmax()}"


def of_seeds(name):
    return {f"{name}, seed {seed}": model.backbone for seed, (model, _, _) in enumerate(runs[name])}


backbones = of_seeds("frozen") | {"LoRA, seed 0, adapter off": bare.backbone} | of_seeds("LoRA")
backbones |= {"LoRA, places (section 8)": place_peft.get_base_model().esm, careless_name: careless.backbone} | of_seeds("full")
rows = {"pretrained": {"masked perplexity": math.exp(pretrained_loss.sum() / number.sum()), "times the pretrained": 1.0, "low": 1.0, "high": 1.0}}
for name, backbone in backbones.items():
    loss, _ = masked_loss(backbone)
    ratio, low, high = pc.bootstrap_ci(perplexity_ratio, loss, pretrained_loss, number)
    rows[name] = {"masked perplexity": math.exp(loss.sum() / number.sum()), "times the pretrained": ratio, "low": low, "high": high}
forgetting = pd.DataFrame(rows).T
print(f"{len(heldout)} proteins, {number.sum():,} masked residues; 95 % intervals over proteins")
forgetting.style.format("{:.3f}")

# %% alt="Dots with horizontal intervals: masked perplexity relative to the pretrained model for frozen, LoRA with the adapter on and off, and full fine-tuning, with a dashed line at 1."
pc.plots.intervals({name: tuple(row[1:]) for name, row in zip(forgetting.index, forgetting.to_numpy()) if name != "pretrained"},
                   "masked perplexity relative to the pretrained model", reference=1);

# %% [markdown]
# *1 is "as good as before", more is forgetting; bars: 95 % intervals over proteins. Frozen and "adapter off" must be 1 exactly: their backbone is the pretrained one.* Where the interval of a LoRA row lies above 1, the model with its adapter on has forgotten. Nothing in the method forbids it: it depends on the
# task, the learning rate, the rank and how long you train. Before you say that LoRA forgets less than full fine-tuning, ask how much each *learned* (section 10), and whether their learning rates were chosen with equal care.
#
# So the careful statement is: with LoRA, forgetting can be switched off, together with what was learned.

# %% [markdown]
# ## Discussion
#
# * Your laboratory has ten tasks and one GPU of 24 GB. Which of the tables above decides between frozen, LoRA and full for the 650M model, and which does not matter?
# * In section 2 the update was cut down *after* training; LoRA restricts it *before*. Why need the two not agree?
# * LoRA's rate here is several times that of full fine-tuning. Is that fair? How would you choose the rates for a comparison that you want to publish?
# * Which statement about LoRA would you want to test on your own data before you believe it?
#
# ## Quiz
#
# 1. A colleague sets up LoRA, trains, and reports a good score. The saved file has as many bytes as the whole model. What happened, and which number would have told before training?
# 2. After an hour of training, all A and all B are zero. What was wrong from the first step?
# 3. You double r and leave α alone. What else changes besides the number of directions?
# 4. A full step needs 9 GB on top of the weights, 8.5 of them activations. How much will LoRA save, and what would help more?
# 5. You load an adapter for a classifier that was saved with the task type for feature extraction. The backbone is right; the predictions are random. Why?

# %% [markdown] tags=["solution"]
# ### Answers
#
# 1. Only the wrapped layers were frozen, so nearly the whole model was trained and stored. The count of trainable parameters (section 4) would have told.
# 2. Both matrices started at zero: each one's gradient is multiplied by the other (table of section 3).
# 3. The scale α/r halves, so the same A and B would add half as much. Section 9 keeps α = 2r to turn one knob only.
# 4. At most the half gigabyte of gradients and Adam, less what the adapters need themselves (figure of section 10). Smaller batches with gradient accumulation, shorter crops, or a frozen backbone reduce the activations.
# 5. The head was not in `modules_to_save`: it was neither trained nor stored, and the loaded model has a new random one (section 8, the cell with the two task types).

# %% [markdown]
# ## References
#
# * Hu E. J. et al. (2022) LoRA: low-rank adaptation of large language models. *ICLR*.
# * Aghajanyan A., Gupta S., Zettlemoyer L. (2021) Intrinsic dimensionality explains the effectiveness of language model fine-tuning. *ACL*.
# * Kalajdzievski D. (2023) A rank stabilization scaling factor for fine-tuning with LoRA. *arXiv*:2312.03732. (rsLoRA)
# * Biderman D. et al. (2024) LoRA learns less and forgets less. *Transactions on Machine Learning Research*.
# * Sledzieski S. et al. (2024) Democratizing protein language models with parameter-efficient fine-tuning. *PNAS* 121:e2405840121.
# * Schmirler R., Heinzinger M., Rost B. (2024) Fine-tuning protein language models boosts predictions across diverse tasks. *Nature Communications* 15:7407.
# * Mangrulkar S. et al. (2022) PEFT: state-of-the-art parameter-efficient fine-tuning methods. Software, Hugging Face.
# * Lin Z. et al. (2023) Evolutionary-scale prediction of atomic-level protein structure with a language model. *Science* 379:1123. (ESM-2)
# * Data: see `data/README.md` for sources and licences.

# %%
pc.progress(6)
