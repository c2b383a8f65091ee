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
# # 3 · Embeddings: what a protein looks like to ESM-2
#
# A protein language model reads a sequence and writes down, for every residue, a list of numbers. This notebook opens that list:
# how to get it right, what is in it, and how to tell whether it is better than something much simpler.
#
# **You will be able to**
#
# * turn sequences into tokens and tokens into residue vectors, in batches, without padding leaking in;
# * summarise a protein in one vector, and name the ways in which that goes wrong;
# * measure what each layer knows about structure and conservation;
# * test a classifier on proteins that are new to it, and say how much a random split would have flattered it.
#
# **Before you start**: Python and a little NumPy; what an amino acid is. Notebooks 1 and 2 help, but are not needed. The course follows a lecture
# on protein language models; boxes that begin "The lecture says" compare its statements with what the model does.
# **Time**: about 2½ hours with the exercises; the code itself runs in two to three minutes. **Difficulty**: ◆ to ◆◆.
#
# | word | means here |
# |---|---|
# | token | what the model reads: a residue, or a special sign such as `<cls>` |
# | hidden state | the vectors of all tokens after some block of the model; also called embedding |
# | logits | the model's 33 raw scores per position, before they become probabilities |
# | attention mask | tells the model which tokens it may look at; padding must not be among them |
# | transformers, fair-esm | two implementations of ESM-2: Hugging Face's library and Meta's own code |
# | one-hot | a letter as a vector with a single 1 |

# %%
import importlib.util
import subprocess
import sys

if importlib.util.find_spec("plmcourse") is None:  # on Colab; a local installation has it already
    subprocess.check_call([sys.executable, "-m", "pip", "install", "--quiet", "{{install}}"])

import warnings

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
# The line above says which weights you have. With a network, that is Meta's ESM-2; without one, a checkpoint that this course has
# trained, with the same architecture; its card, `data/models/course-8M/README.md`, says on what it was trained and how far it got. Everything
# below measures what *your* weights can do, so the figures may differ from your neighbour's. A larger model is one environment variable away:
# `PLMCOURSE_MODEL=650M`.

# %% [markdown]
# ## 1. Letters become tokens
#
# The model does not see letters, it sees numbers from 0 to 32. Here is its whole vocabulary.

# %%
vocabulary = pd.DataFrame({"token": pc.sequences.TOKENS})
vocabulary["what it is"] = "standard residue"
vocabulary.loc[:3, "what it is"] = "special"
vocabulary.loc[24:28, "what it is"] = "ambiguous or rare residue"
vocabulary.loc[29:, "what it is"] = ["insertion gap", "deletion gap", "never used", "special"]
for kind, tokens in vocabulary.groupby("what it is", sort=False)["token"]:
    print(f"{kind:26}", " ".join(f"{i}:{token}" for i, token in tokens.items()))

# %% [markdown]
# > **The lecture says** that ids 0, 1 and 2 are padding, beginning and end, and that each x is one of 20 residues. **The model says** 0 is `<cls>`
# > (the beginning), 1 is `<pad>`, 2 is `<eos>`, and there are 33 tokens. The order of the residues is not alphabetical: L comes first.
#
# Two proteins in one batch, as the model gets them:

# %% alt="Two rows of boxes. The first row shows cls, the ten residues MKTAYIAKQR and eos. The second row shows cls, M, K, eos and eight grey padding boxes."
tokens = plm.tokenize(["MKTAYIAKQR", "MK"])
pc.plots.token_strip(tokens);

# %% [markdown]
# *Coloured boxes are residues. Grey ones are not: `<cls>` and `<eos>` frame each protein, and `<pad>` fills the shorter one up, because a
# batch must be a rectangle.*
#
# ### Quiet failures
#
# A tokenizer is the place where bad input does not crash but turns into nonsense. The same four inputs, three implementations:

# %%
_, alphabet = pc.to_fair_esm(plm)  # Meta's original code, with the same weights as `plm`


def attempt(function, text):
    """The answer of a function, or its error, as a short text."""
    try:
        with warnings.catch_warnings(record=True) as notes:
            answer = function(text)
        return f"{answer}" + "".join(f"  (note: {note.message})" for note in notes)
    except Exception as error:  # the error is what we want to look at
        return f"{type(error).__name__}: {error}"


for text in ("MKT", "mkt", "MJT", ""):
    print(f"{text!r}")
    print("   transformers  ", attempt(lambda t: plm.tokenizer(t).input_ids, text))
    print("   fair-esm      ", attempt(lambda t: alphabet.encode(t), text))
    print("   plm.tokenize  ", attempt(lambda t: plm.tokenize([t]).tolist()[0], text))
print("\nand fair-esm, asked for the id of J, says", alphabet.get_idx("J"), "which is", alphabet.get_tok(alphabet.get_idx("J")))

# %% [markdown]
# transformers reads a lower-case protein as **one** unknown token and an impossible letter as `<unk>`, without a word; an empty string becomes a
# protein of no residues in both. An embedding of those would be an embedding of nothing. `plm.tokenize` checks every letter first.
#
# ### Padding must be hidden
#
# The model looks at every token that it is not told to ignore. What does padding do when nobody says so?

# %%
ubiquitin = next(chain["sequence"] for chain in pc.datasets.chains("chains_test") if chain["id"] == "5NVG_A")
short, long = "MKTAYIAKQRQISFVKSHFSRQ", ubiquitin
alone = plm.tokenize([short])
batch = plm.tokenize([short, long])
with torch.no_grad():
    careless = plm.model(input_ids=batch).logits[0, :len(short) + 2]
careful = plm.forward(batch)[0][0, :len(short) + 2]
expected = plm.forward(alone).logits[0]
print(f"largest change of a logit, attention mask left out: {(careless - expected).abs().max():.2f}")
print(f"largest change of a logit, attention mask given:    {(careful - expected).abs().max():.6f}")
assert (careful - expected).abs().max() < 1e-3 < (careless - expected).abs().max()

# %% [markdown]
# A protein must not change because a longer one sits beside it. `plm.forward(tokens)` always passes the mask.

# %% [markdown]
# ## 2. One vector per residue
#
# Inside the model each token is a vector. It starts as a row of the embedding table, and every block adds something to it. These
# stages are called **hidden states**: number 0 is the table row, number *k* comes out of block *k*.

# %%
output = plm.forward(plm.tokenize([short]), output_hidden_states=True)
depth, dim = plm.config.num_hidden_layers, plm.config.hidden_size
print(f"{len(output.hidden_states)} hidden states (embedding + {depth} blocks), each of shape {list(output.hidden_states[-1].shape)}: "
      f"1 protein, {len(short)} residues + 2, {dim} numbers")

# %% [markdown]
# > **The lecture says** `repr_layers=[33]`, beside a model name that can be any. **The model says** 33 is the last layer of the 650M
# > model only. Run it on this one:

# %%
fair_model, alphabet = pc.to_fair_esm(plm)
with torch.no_grad():
    result = fair_model(plm.tokenize([short]).cpu(), repr_layers=[33])
print("layers returned:", list(result["representations"]))
print("result['representations'][33] →", attempt(lambda layer: result["representations"][layer].shape, 33))
print("what to write instead:          repr_layers=[model.num_layers] =", [fair_model.num_layers])

# %% [markdown]
# With a *deeper* model it is worse, because nothing crashes: layer 33 of the 3B model exists, but it is not the last and has not gone
# through the final LayerNorm.
#
# > **The lecture also says** `return_contacts=True` when it wants embeddings. **The model** then keeps every attention map, one number per layer,
# > head and pair of tokens, and nobody uses them:

# %%
def attention_bytes(size, residues):
    """Bytes of all attention maps of one protein in float32."""
    return size.layers * size.heads * (residues + 2) ** 2 * 4


for name, size in pc.FAMILY.items():
    few, many = attention_bytes(size, 100) / 1e6, attention_bytes(size, 1022) / 1e9
    print(f"{name:>5}: {few:8.1f} MB for 100 residues, {many:7.2f} GB for 1,022; the embedding itself: {1022 * size.dim * 4 / 1e6:5.1f} MB")
with torch.no_grad():
    kept = fair_model(plm.tokenize([short]).cpu(), return_contacts=True)["attentions"]
heads = plm.config.num_attention_heads
computed = depth * heads * (len(short) + 2) ** 2 * 4
print(f"measured on this model, {len(short)} residues: {kept.nbytes:,} bytes; computed: {computed:,}")

# %% [markdown]
# ### Exercise 3.1 · Embed · ◆◆ · 20 minutes
#
# Write the function that the rest of this notebook rests on: a list of sequences in, a list of matrices out. Each matrix has one row per
# residue, no `<cls>`, no `<eos>`, no padding, and the list is in the order of the sequences.


# %%
def embed(plm, sequences, layer=-1):
    """One vector per residue.

    Parameters
    ----------
    plm : the loaded model
        ``plm.tokenize(sequences)`` gives a LongTensor [sequences, tokens]; ``plm.forward(tokens, output_hidden_states=True)``
        returns an output whose ``hidden_states`` are [sequences, tokens, dim] each. Padding is masked for you there.
    sequences : list of str
        Of any lengths, repeats included. The list itself may be empty: then return [].
    layer : int
        Counts hidden states: 0 the embedding, k after block k, -1 the last.

    Returns
    -------
    list of Tensor, shape [L, dim]
    """
    ### BEGIN SOLUTION
    if not sequences:
        return []
    states = plm.forward(plm.tokenize(sequences), output_hidden_states=True).hidden_states[layer]
    return [states[row, 1:1 + len(sequence)] for row, sequence in enumerate(sequences)]
    ### END SOLUTION


# %%
embed = pc.check("3.1", embed)

# %% [markdown]
# ### Padding is work
#
# The simplest `embed` puts everything into one batch. For three proteins that is fine. For a thousand it is slow, and then it runs out of
# memory: the whole batch is as wide as its longest protein. How much of the work is padding?

# %%
table = pc.datasets.load("localisation")
lengths = table["sequence"].str.len().to_numpy()[:1000] + 2


def padding_share(batches):
    """Share of all token places that hold padding."""
    places = sum(len(rows) * max(lengths[rows]) for rows in batches)
    return 1 - lengths.sum() / places


in_order = [list(range(start, min(start + 16, len(lengths)))) for start in range(0, len(lengths), 16)]
print(f"one batch of {len(lengths):,}:              {padding_share([list(range(len(lengths)))]):5.1%} padding")
print(f"batches of 16, as they come:   {padding_share(in_order):5.1%} padding")
print(f"sorted by length, 2,048 tokens: {padding_share(pc.embeddings.batches(list(lengths), 2048)):5.1%} padding")

# %% [markdown]
# The course's own `pc.embed` sorts by length, fills batches up to a number of *tokens*, and puts the results back in order. It gives what
# yours gives; from here on the notebook uses it where there are many proteins.

# %%
some = table["sequence"].str[:120].head(24).tolist()
mine = embed(plm, some)
packed = pc.embed(plm, some)
difference = max((a.cpu() - b).abs().max().item() for a, b in zip(mine, packed))
print(f"largest difference between the two: {difference:.6f}")
assert difference < 1e-3

# %% [markdown]
# ### The same letter, another vector
#
# In hidden state 0 every alanine is the same alanine. Later its vector has taken in the neighbourhood. Take all alanines of twelve
# proteins and compare them with each other, layer by layer.

# %% alt="Line plot of mean cosine similarity against hidden state: one line compares alanines with each other, a dashed line alanines with leucines."
proteins = table["sequence"].str[:150].head(12).tolist()
states = pc.embeddings.hidden_states(plm, proteins, range(depth + 1))


def centred(letter, layer):
    """Vectors of one amino acid in all twelve proteins, minus the mean vector of the layer, scaled to length 1."""
    everything = torch.cat([s[layer] for s in states])
    vectors = torch.cat([s[layer][[i for i, residue in enumerate(p) if residue == letter]] for s, p in zip(states, proteins)])
    return torch.nn.functional.normalize(vectors - everything.mean(0), dim=-1)


same = [(centred("A", k) @ centred("A", k).T).mean().item() for k in range(depth + 1)]
other = [(centred("A", k) @ centred("L", k).T).mean().item() for k in range(depth + 1)]
assert same[0] > 0.999  # before the first block, alanine is alanine
fig, ax = plt.subplots(figsize=(6.5, 3.4))
ax.plot(same, "o-", label="alanine and alanine")
ax.plot(other, "s--", label="alanine and leucine")
ax.set(xlabel="hidden state", ylabel="mean cosine similarity", ylim=(-0.6, 1.05))
ax.axhline(0, color=pc.plots.GREY, linewidth=0.8)
ax.legend();

# %% [markdown]
# *Hidden state 0 knows only the letter, so alanine equals alanine. Where the curve falls below 1, the vectors have taken in context: what is left of
# the similarity is "being an alanine". The mean vector of each layer was subtracted first. The next cell prints how alike any two residues look
# if you leave it in.*

# %%
raw = torch.nn.functional.normalize(torch.cat([s[-1] for s in states]), dim=-1)
print(f"mean cosine similarity of ANY two residues in the last layer, offset left in: {(raw @ raw.T).mean():.2f}")

# %% [markdown]
# Two unrelated directions would give 0. Keep this in mind when you read "the cosine similarity was 0.97": compared with what?

# %% [markdown]
# ## 3. One vector per protein
#
# A protein of 120 residues gives 120 vectors, the next one gives 87. A classifier wants one vector of fixed length, and the simplest
# summary is the average. Simple, and easy to get wrong: there are vectors for `<cls>` and `<eos>` too, and in a batch one for every position
# of padding.

# %% alt="Token boxes of the two proteins MKTAYIAKQR and MK, with the two residues of the short protein framed."
tokens = plm.tokenize(["MKTAYIAKQR", "MK"])
pc.plots.token_strip(tokens, marked={(1, 1), (1, 2)});

# %% [markdown]
# *Averaging over all twelve columns would make "MK" ten parts of something that is no residue. Only the framed tokens belong in its mean.*
#
# ### Exercise 3.2 · Mean pooling · ◆ · 10 minutes
#
# Average the residue vectors of each protein, and nothing else. Every later sentence that says "the embedding of a protein" means this
# function.


# %%
def mean_pool(hidden, tokens):
    """Average the residue vectors of each protein.

    Parameters
    ----------
    hidden : Tensor, shape [proteins, tokens, dim]
        Last hidden states, as the model returns them; may be in half precision.
    tokens : LongTensor, shape [proteins, tokens]
        Token ids: 0 ``<cls>``, 1 ``<pad>``, 2 ``<eos>``, residues 4 to 28.

    Returns
    -------
    Tensor, shape [proteins, dim], summed in float32
    """
    ### BEGIN SOLUTION
    is_residue = ((tokens >= 4) & (tokens <= 28)).unsqueeze(-1)
    total = (hidden.float() * is_residue).sum(dim=1)
    return total / is_residue.sum(dim=1)
    ### END SOLUTION


# %%
mean_pool = pc.check("3.2", mean_pool)

# %% [markdown]
# > **The lecture's mask** drops ids 0, 1 and 2, thinking that 0 is padding. It survives by luck, since it drops all three. A mask that
# > dropped only "padding = 0" would not: it would drop `<cls>` and average over the padding.
#
# What does the lucky mask save us from? One protein, alone and beside a protein of 400 residues, pooled three ways:

# %%
neighbour = table["sequence"][table["sequence"].str.len() >= 400].iloc[0]
POOLS = {
    "residues only": mean_pool,
    "all but <pad>": lambda hidden, tokens: (hidden * (tokens != 1)[..., None]).sum(1) / (tokens != 1).sum(1, keepdim=True),
    "all columns": lambda hidden, tokens: hidden.mean(1),
}


def first_vector(pool, sequences):
    """Pooled vector of the first of these sequences, computed in one batch with the others."""
    tokens = plm.tokenize(sequences)
    return pool(plm.forward(tokens, output_hidden_states=True).hidden_states[-1], tokens)[0]


right = first_vector(mean_pool, [short])
print(f"length of the right vector: {right.norm():.2f}")
pd.DataFrame({name: {"distance to the right vector, alone": (first_vector(pool, [short]) - right).norm().item(),
                     "beside a long neighbour": (first_vector(pool, [short, neighbour]) - right).norm().item()}
              for name, pool in POOLS.items()}).T.style.format(precision=3)

# %% [markdown]
# The last row is the dangerous one: the vector of a protein depends on who else was in the batch, so the same code gives other
# results with another batch size.

# %% [markdown]
# ## 4. Maps, and how far to trust them
#
# With one vector per protein we can draw a map. We take three groups: globins, members of the Ras family, and proteins that belong to
# neither, all from Swiss-Prot. Beside the model's map stands a baseline that needs no model: the **composition**, the share of each of the 20
# amino acids.

# %%
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

rng = np.random.default_rng(0)
groups = {"globins": pc.datasets.load("globins"), "Ras family": pc.datasets.load("ras"),
          "other": pc.datasets.load("pretrain_heldout")}
names, sequences = [], []
for name, members in groups.items():
    usable = [s for s in members.values() if len(s) <= 260]
    for i in rng.choice(len(usable), 60, replace=False):
        names.append(name)
        sequences.append(usable[i])


def composition(sequence):
    """Share of each standard residue, shape [20]."""
    return np.array([sequence.count(letter) for letter in pc.RESIDUES]) / len(sequence)


def protein_vectors(sequences, layer=-1):
    """Mean-pooled embeddings, shape [proteins, dim]."""
    return torch.stack([matrix.mean(0) for matrix in pc.embed(plm, sequences, layer)]).numpy()


vectors = protein_vectors(sequences)
compositions = np.array([composition(s) for s in sequences])

# %%
def point_map(ax, points, labels, title, legend):
    """Draw a two-dimensional map, one colour and one marker per label, so that colour is never the only sign."""
    sns.scatterplot(x=points[:, 0], y=points[:, 1], hue=labels, style=labels, s=26, linewidth=0, alpha=0.8, legend=legend, ax=ax)
    ax.set(xticks=[], yticks=[], title=title)
    if legend:
        sns.move_legend(ax, "center left", bbox_to_anchor=(1, 0.5), title=None)


# %% alt="Two scatter plots side by side: principal components of amino-acid composition on the left, of ESM-2 mean vectors on the right, points coloured by protein family."
fig, axes = plt.subplots(1, 2, figsize=(10.5, 4))
point_map(axes[0], PCA(2).fit_transform(compositions), names, "composition, PCA", legend=False)
point_map(axes[1], PCA(2).fit_transform(vectors), names, "ESM-2 mean vectors, PCA", legend=True)

# %% [markdown]
# *Each point is a protein. Ask of every such figure: would the left map have told the same story? And: has the model seen these families in
# training? Globins and Ras are in every large database; what the embedded checkpoint has read, its card says.* A number answers
# better than the eye: how often is the nearest neighbour of the same group?


# %%
def neighbour_purity(vectors, labels):
    """Share of proteins whose nearest neighbour (cosine, not itself) has the same label."""
    unit = vectors - vectors.mean(0)
    unit = unit / np.linalg.norm(unit, axis=1, keepdims=True)
    similarity = unit @ unit.T
    np.fill_diagonal(similarity, -np.inf)
    labels = np.array(labels)
    return (labels[similarity.argmax(1)] == labels).astype(float)


for name, values in {"composition": compositions, "ESM-2": vectors}.items():
    value, low, high = pc.bootstrap_ci(np.mean, neighbour_purity(values, names))
    print(f"{name:12} {value:.2f}  (95 % interval {low:.2f} to {high:.2f}; guessing would give 0.33)")

# %% [markdown]
# ### A map can show groups that are not there
#
# t-SNE and UMAP pull near neighbours together and give up on distances. Here is t-SNE on vectors that are pure noise, at three settings of its
# main parameter, the number of neighbours that it tries to keep (called perplexity).

# %% alt="Three t-SNE maps of the same random noise with perplexity 2, 8 and 40. At 2 the points form small clumps although the data have no structure."
noise = rng.normal(size=(180, 20))
fig, axes = plt.subplots(1, 3, figsize=(10.5, 3.4))
for ax, perplexity in zip(axes, (2, 8, 40)):
    points = TSNE(2, perplexity=perplexity, init="random", random_state=0, max_iter=500).fit_transform(noise)
    ax.scatter(*points.T, s=12, color=pc.plots.GREY, linewidth=0)
    ax.set(title=f"noise, perplexity {perplexity}", xticks=[], yticks=[])

# %% [markdown]
# *180 points without any structure. On the left, clumps that do not exist.* PCA is a plain projection and says how much it has lost. Draw maps to find
# mistakes and ideas; make claims with a score on held-out data.

# %%
shares = PCA(10).fit(vectors).explained_variance_ratio_
print(f"the two components drawn above hold {shares[:2].sum():.0%} of the variance, ten hold {shares.sum():.0%}")

# %% [markdown]
# ## 5. What each layer knows
#
# Nobody told the model about structure. Is it in there all the same? We fit a **linear probe**: the simplest model that can read a
# property off the vectors. If a linear probe succeeds, the property is laid out plainly; if it fails, it may still be there in a
# tangled form.
#
# Three properties of each residue, from crystal structures and families of homologs. No ESM-2 was trained on labels of structure (the
# sequences themselves it may have read). Conservation is another matter for the course's own checkpoint: it was trained with profiles of homologs of
# other chains.
#
# * **secondary structure**: helix, strand or neither, as the program DSSP reads it from the coordinates (8 states reduced to 3);
# * **burial**: less than a quarter of the residue's surface touches water;
# * **conservation**: how far the homologs' profile is from using all 20 letters, in bits.

# %%
THREE_STATE = {"H": 0, "G": 0, "I": 0, "E": 1, "B": 1}  # everything else is coil: 2
n_train, n_test = (120, 80) if plm.device.type == "cpu" else (400, 100)
train_chains = pc.datasets.chains("secondary_structure_train")[:n_train]
test_chains = pc.datasets.chains("secondary_structure_test")[:n_test]


def properties(chain):
    """Three columns per residue: secondary structure (0, 1, 2), buried (0, 1), conservation in bits."""
    profile = chain["profile"].astype(float)
    profile = profile / profile.sum(1, keepdims=True)
    entropy = -(profile * np.log2(profile, where=profile > 0, out=np.zeros_like(profile))).sum(1)
    structure = [THREE_STATE.get(letter, 2) for letter in chain["ss"]]
    return np.column_stack([structure, chain["rsa"] < 0.25, np.log2(20) - entropy])


y_train, y_test = (np.concatenate([properties(c) for c in chains]) for chains in (train_chains, test_chains))
print(f"{len(y_train):,} residues of {n_train} chains to fit, {len(y_test):,} of {n_test} chains to test; no family on both sides")
print("states in the test set:", {name: f"{(y_test[:, 0] == k).mean():.0%}" for k, name in enumerate(("helix", "strand", "coil"))},
      f"· buried {y_test[:, 1].mean():.0%}")

# %% [markdown]
# The baselines know the letters but not the model: the residue alone, and a window of seven residues around it, both one-hot. The probe is a ridge
# regression, a linear fit whose weights are kept small.

# %%
from sklearn.linear_model import Ridge, RidgeClassifier
from sklearn.preprocessing import StandardScaler


def one_hot_window(sequence, reach):
    """One-hot letters of the residue and ``reach`` neighbours on each side, shape [L, 20 · (2 · reach + 1)]."""
    letters = np.pad(np.array([pc.RESIDUES.index(r) for r in sequence]), reach, constant_values=20)
    return np.concatenate([np.eye(21)[letters[shift:shift + len(sequence)], :20] for shift in range(2 * reach + 1)], axis=1)


def probe(x_train, x_test, column):
    """Predictions of a ridge probe for one property of the test residues."""
    scaler = StandardScaler().fit(x_train)
    model = Ridge(10.0) if column == 2 else RidgeClassifier(10.0)
    return model.fit(scaler.transform(x_train), y_train[:, column]).predict(scaler.transform(x_test))


train_states = pc.embeddings.hidden_states(plm, [c["sequence"] for c in train_chains], range(depth + 1))
test_states = pc.embeddings.hidden_states(plm, [c["sequence"] for c in test_chains], range(depth + 1))


def windows(chains, reach):
    """One-hot windows of all residues of these chains."""
    return np.concatenate([one_hot_window(chain["sequence"], reach) for chain in chains])


features = {"baseline: residue": [windows(train_chains, 0), windows(test_chains, 0)],
            "baseline: window of 7": [windows(train_chains, 3), windows(test_chains, 3)]}
for k in range(depth + 1):
    features[f"hidden state {k}"] = [torch.cat([s[k] for s in states]).numpy() for states in (train_states, test_states)]

# %% [markdown]
# Residues of one chain are not independent, so the interval comes from drawing *chains*, not residues.

# %%
PROPERTIES = ["secondary structure, accuracy", "burial, accuracy", "conservation, Spearman"]
chain_of = np.repeat(np.arange(n_test), [len(c["sequence"]) for c in test_chains])


def probe_score(predicted, column):
    """Score and interval for one property: accuracy, or the rank correlation averaged over chains."""
    true = y_test[:, column]
    if column == 2:
        per_chain = [pc.metrics.spearman(true[chain_of == c], predicted[chain_of == c]) for c in range(n_test)]
        return pc.bootstrap_ci(np.nanmean, per_chain)
    right, size = np.bincount(chain_of, predicted == true), np.bincount(chain_of)
    return pc.bootstrap_ci(lambda r, n: r.sum() / n.sum(), right, size)


results = {(name, column): probe_score(probe(*pair, column), column) for name, pair in features.items() for column in range(3)}

# %% alt="Three line plots of probe score against hidden state, for secondary structure, burial and conservation, each with a shaded 95 percent interval and two horizontal baselines for one-hot letters."
fig, axes = plt.subplots(1, 3, figsize=(10.5, 4.2))
for column, (ax, title) in enumerate(zip(axes, PROPERTIES)):
    values = np.array([results[f"hidden state {k}", column] for k in range(depth + 1)])
    ax.plot(values[:, 0], "o-", label="ESM-2 layer")
    ax.fill_between(range(depth + 1), values[:, 1], values[:, 2], alpha=0.25, linewidth=0)
    for name, style in (("baseline: residue", ":"), ("baseline: window of 7", "--")):
        ax.axhline(results[name, column][0], color=pc.plots.GREY, linestyle=style, label=name.removeprefix("baseline: "))
    ax.set(title=title, xlabel="hidden state", ylabel=title.split(", ")[1] + (", mean over chains" if column == 2 else ""))
    if column < 2:  # what always naming the commonest state would score
        commonest = np.bincount(y_test[:, column].astype(int)).max() / len(y_test)
        ax.axhline(commonest, color="#404040", linewidth=0.8, label="commonest state")
axes[0].legend(fontsize=9, loc="upper center", bbox_to_anchor=(0.5, -0.22), ncols=2);

# %% [markdown]
# *Shaded: 95 % intervals over chains. Hidden state 0 equals the dotted line, since it knows the letter and no more. A layer knows more than the
# neighbouring letters where its curve rises above the dashed line. Where a curve falls below the dotted one, the layer has even made the letter
# itself harder to read off.*

# %%
layers = [f"hidden state {k}" for k in range(depth + 1)]
summary = pd.DataFrame({title: {name: "{:.3f}  ({:.3f} to {:.3f})".format(*results[name, column]) for name in features}
                        for column, title in enumerate(PROPERTIES)})
best = {title: max(features, key=lambda name: results[name, column][0]) for column, title in enumerate(PROPERTIES)}
display(summary.style.apply(lambda c: ["font-weight: bold" if best[c.name] == name else "" for name in c.index]))
for column, title in enumerate(PROPERTIES):
    gain = max(results[name, column][0] for name in layers) - results["baseline: window of 7", column][0]
    print(f"{title}: best layer {'above' if gain > 0 else 'BELOW'} the window by {abs(gain):.3f}")
print("published for Meta's 8M (frozen, trained head, other chains): 0.753 three-state accuracy (Schmirler et al. 2024)")

# %% [markdown]
# Read the table against its intervals. If no layer beats the window of seven letters, a linear reader finds no more in one vector than in the letters
# around it: expect that of a small or briefly trained model. If some do, look at *which*: the best layer depends on the question and need not be the
# last, which is busy preparing to name the masked letter. (Picking the best of several layers on the test data flatters it a little.)

# %% [markdown]
# ## 6. Testing on proteins that are new
#
# Now a task with one label per protein: where in the cell does it work? Five places, from Swiss-Prot. Proteins come in families (here: joined
# wherever a sequence search finds them related), and members of a family resemble each other in sequence *and* in location. If relatives of the
# training proteins sit in the test set, a classifier can succeed by recognising them. That is called **leakage**. How much of it does a random
# split hold?

# %%
limit, wanted = (320, 640) if plm.device.type == "cpu" else (512, 4000)
pool = table[table["sequence"].str.len() <= limit]
sizes = pool.groupby("cluster")["id"].transform("size")
family_order = np.random.default_rng(3).permutation(pool.loc[sizes.between(3, 12), "cluster"].unique())
subset = pool[pool["cluster"].isin(family_order)]
subset = subset.set_index("cluster").loc[family_order].reset_index().head(wanted)
print(f"{len(subset)} proteins in {subset['cluster'].nunique()} families of 3 to 12 members")
print(subset["label"].value_counts().to_string())

# %% [markdown]
# ### Exercise 3.3 · Split by family · ◆◆ · 15 minutes
#
# Split the proteins so that each family is wholly in the training set or wholly in the test set.


# %%
def cluster_split(clusters, test_fraction=0.2, seed=0):
    """Split proteins into training and test set, whole clusters at a time.

    Parameters
    ----------
    clusters : array-like, shape [n]
        Cluster of each protein; any labels.
    test_fraction : float
        Share of the *proteins* wanted in the test set: come as close as whole clusters allow without exceeding it.
    seed : int
        Same seed, same split. Leave the global random state alone.

    Returns
    -------
    train, test : arrays of indices
    """
    ### BEGIN SOLUTION
    names, sizes = np.unique(clusters, return_counts=True)
    chosen, taken = [], 0
    for i in np.random.default_rng(seed).permutation(len(names)):
        if taken + sizes[i] <= test_fraction * len(clusters):
            chosen.append(names[i])
            taken += sizes[i]
    in_test = np.isin(clusters, chosen)
    return np.flatnonzero(~in_test), np.flatnonzero(in_test)
    ### END SOLUTION


# %%
cluster_split = pc.check("3.3", cluster_split)

# %% [markdown]
# The contestants: composition, the mean-pooled embedding, and the vector of `<cls>` alone, which some libraries use because BERT was
# trained to put a summary there. ESM-2 was not. All go through the same logistic regression, on both kinds of split. The score is
# **macro-F1**, which counts each place the same, however rare.

# %%
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.pipeline import make_pipeline

sequences, labels = subset["sequence"].tolist(), subset["label"].to_numpy()
means, firsts = np.zeros((len(sequences), dim)), np.zeros((len(sequences), dim))
for rows in tqdm(pc.embeddings.batches([len(s) + 2 for s in sequences], plm.tokens_per_batch), desc="batches", leave=False):
    tokens = plm.tokenize([sequences[i] for i in rows])
    hidden = plm.forward(tokens, output_hidden_states=True).hidden_states[-1]
    means[rows] = mean_pool(hidden, tokens).cpu()
    firsts[rows] = hidden[:, 0].float().cpu()
contestants = {"baseline: composition": np.array([composition(s) for s in sequences]),
               "<cls> vector": firsts, "mean of residues": means}


# %% [markdown]
# One split is one draw of luck, so we make six of each kind.


# %%
def macro_f1(true, predicted):
    return f1_score(true, predicted, average="macro", zero_division=0)


def fitted(x, train, test):
    """Labels of the test proteins as a logistic regression predicts them."""
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000)).fit(x[train], labels[train])
    return model.predict(x[test])


def random_split(seed, test_fraction=0.3):
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    n_test = int(test_fraction * len(labels))
    return shuffled[n_test:], shuffled[:n_test]


def compare_splits(predict, seeds=range(6)):
    """Macro-F1 of ``predict(x, train, test)`` for all contestants and splits, as a table."""
    rows = []
    for seed in seeds:
        splits = {"by family": cluster_split(clusters, 0.3, seed), "at random": random_split(seed)}
        for kind, (train, test) in splits.items():
            for name, x in contestants.items():
                score = macro_f1(labels[test], predict(x, train, test))
                rows.append({"seed": seed, "vectors": name, "split": kind, "macro-F1": score})
    return pd.DataFrame(rows)


clusters = subset["cluster"].to_numpy()
majority = macro_f1(labels, np.full(len(labels), pd.Series(labels).mode()[0]))
probe_scores = compare_splits(fitted)

# %% alt="Dot plot of macro-F1 for composition, cls vector and mean of residues, six splits each, split by family and at random in two colours, with a dashed line for always naming the commonest place."
def draw_splits(table):
    """One dot per split, family and random splits side by side."""
    fig, ax = plt.subplots(figsize=(7.5, 3.2))
    sns.stripplot(data=table, x="macro-F1", y="vectors", hue="split", dodge=True, jitter=False, size=7, alpha=0.75, ax=ax)
    ax.axvline(majority, color="#404040", linestyle="--", linewidth=1)
    ax.set(ylabel="")
    sns.move_legend(ax, "center left", bbox_to_anchor=(1, 0.5), title="split")


draw_splits(probe_scores)

# %% [markdown]
# *Each dot is one split; dashed: always naming the commonest place. Vectors and classifier are the same in both colours, and about as many proteins are
# tested. Only the question whether relatives may sit on both sides differs.*


# %%
def flattery(table):
    """Mean over splits of each score, and what the random split adds, with a 95 % interval over the six pairs of splits."""
    wide = table.pivot(index=["vectors", "seed"], columns="split", values="macro-F1")
    for name in contestants:
        found = wide.loc[name]
        value, low, high = pc.bootstrap_ci(np.mean, (found["at random"] - found["by family"]).to_numpy())
        print(f"{name:22} by family {found['by family'].mean():.2f}   at random {found['at random'].mean():.2f}   "
              f"flattery {value:+.2f} ({low:+.2f} to {high:+.2f})")


flattery(probe_scores)
train, test = random_split(0)
relatives = np.isin(clusters[test], clusters[train]).mean()
print(f"\nin a random split {relatives:.0%} of the test proteins have a relative in the training set")

# %% [markdown]
# The random split does not lie about the test set; it answers another question: "how well do I do on relatives of what I know?" That is
# a fine question for annotating the next strain of a known bacterium, and the wrong one for a new fold.

# %% [markdown]
# ## 7. Annotation transfer
#
# The oldest method of all needs no training: look for the most similar protein whose label is known, and copy the label. With sequence
# search this is what databases do every day. With vectors, "most similar" is the cosine.
#
# ### Exercise 3.4 · The nearest label · ◆ · 10 minutes


# %%
def nearest_label(query, database, labels):
    """Give each query the label of its most similar database entry.

    Parameters
    ----------
    query : Tensor, shape [Q, dim]
    database : Tensor, shape [N, dim]
    labels : sequence of length N
        Labels of the database entries.

    Returns
    -------
    list of length Q
        By cosine similarity; the first of equals.
    """
    ### BEGIN SOLUTION
    # the length of the query scales all its similarities alike, so only the database needs length 1
    database = database / database.norm(dim=-1, keepdim=True)
    nearest = (query @ database.T).argmax(dim=1)
    return [labels[i] for i in nearest.tolist()]
    ### END SOLUTION


# %%
nearest_label = pc.check("3.4", nearest_label)

# %% [markdown]
# The offset of section 2 matters here: we subtract the mean vector of the *training* proteins from everything first.

# %%
def copied(x, train, test):
    """Labels of the test proteins, copied from their nearest neighbours."""
    x = torch.tensor(x - x[train].mean(0)).float()
    return np.array(nearest_label(x[test], x[train], labels[train].tolist()))


copy_scores = compare_splits(copied)
flattery(copy_scores)

# %% alt="Dot plot of macro-F1 of nearest-neighbour annotation transfer for three kinds of vectors, six splits each, by family and at random in two colours."
draw_splits(copy_scores)

# %% [markdown]
# *The same comparison, with the label copied from the nearest neighbour. Compare the flattery with the one above: which method lives on relatives?*
#
# When may a copied label be trusted? When the neighbour is close.

# %% alt="Bar chart: share of correctly copied labels in four equal groups of test proteins, from the least to the most similar nearest neighbour, for a family split and a random split."
rows = []
for kind, (train, test) in {"by family": cluster_split(clusters, 0.3), "at random": random_split(0)}.items():
    x = torch.nn.functional.normalize(torch.tensor(means - means[train].mean(0)).float(), dim=-1)
    similarity, nearest = (x[test] @ x[train].T).max(1)
    quarter = pd.qcut(similarity.numpy(), 4, labels=["least similar", "second", "third", "most similar"])
    rows.append(pd.DataFrame({"split": kind, "quarter": quarter, "right": labels[train][nearest.numpy()] == labels[test]}))
fig, ax = plt.subplots(figsize=(7.5, 3.4))
sns.barplot(data=pd.concat(rows), x="quarter", y="right", hue="split", ax=ax, seed=0)
ax.set(xlabel="similarity of the nearest training protein, in quarters of the test set", ylabel="share of right labels", ylim=(0, 1))
sns.move_legend(ax, "upper left");

# %% [markdown]
# *Bars: share of right labels with its 95 % interval, one split of each kind. A similarity is a confidence, if you have measured what it is worth, and
# on the kind of proteins that you will meet.*

# %% [markdown]
# ## 8. Where the mean fails
#
# A mean dilutes parts. Take ubiquitin, hang an unrelated tail on it, and watch the vector drift away, although the whole of ubiquitin is still
# there. Two things happen at once: the tail's residues enter the mean, and the model changes ubiquitin's own vectors because of the tail. To
# separate them we also average ubiquitin alone and the tail alone, computed apart.

# %% alt="Line plot of cosine similarity to ubiquitin against the length of an unrelated tail, for three ways of averaging: the whole chain, ubiquitin's residues only, and the expectation from dilution alone."
tail = pc.datasets.load("wild_types")["tem1"]
tail_lengths = [19, 38, 76, 152, 228]
centre = torch.tensor(means.mean(0)).float()
cosine = torch.nn.functional.cosine_similarity
alone, *constructs = pc.embed(plm, [ubiquitin] + [ubiquitin + tail[:n] for n in tail_lengths])
tails = pc.embed(plm, [tail[:n] for n in tail_lengths])


def to_ubiquitin(vectors):
    """Cosine of the mean of these residue vectors to the mean of ubiquitin alone, both relative to the mean protein."""
    return cosine(vectors.mean(0) - centre, alone.mean(0) - centre, dim=0).item()


fig, ax = plt.subplots(figsize=(7, 3.6))
ax.plot(tail_lengths, [to_ubiquitin(m) for m in constructs], "o-", label="whole chain")
ax.plot(tail_lengths, [to_ubiquitin(m[:len(ubiquitin)]) for m in constructs], "s--", label="ubiquitin's residues only")
diluted = [to_ubiquitin(torch.cat([alone, t])) for t in tails]
ax.plot(tail_lengths, diluted, "^:", label="expected from dilution alone", color=pc.plots.GREY)
ax.set(xlabel="residues of β-lactamase behind ubiquitin", ylabel="cosine to ubiquitin alone", ylim=(-0.6, 1.05))
ax.legend();

# %% [markdown]
# *The gap between 1 and the dotted line is dilution. Where the solid line lies lower than that, the rest is the model's doing: ubiquitin's own vectors,
# the dashed line, have moved because of the tail.* For multi-domain proteins embed and pool each domain on its own.
#
# A mean might also forget the order of the residues. Does it?

# %%
scrambled = "".join(np.random.default_rng(0).permutation(list(ubiquitin)))
others = [to_ubiquitin(m) for m in pc.embed(plm, [s[:len(ubiquitin)] for s in sequences[:60]])]
print(f"cosine to ubiquitin of its scrambled letters:   {to_ubiquitin(pc.embed(plm, [scrambled])[0]):.2f}")
print(f"cosine to ubiquitin of 60 unrelated proteins:   {np.mean(others):.2f}, SD {np.std(others):.2f}")

# %% [markdown]
# 1.00 would mean that order is forgotten altogether, as it is in the composition. The unrelated proteins show where "nothing in common" lies. Where
# between the two does your model put a scrambled ubiquitin?

# %% [markdown]
# ## Discussion
#
# * Which of today's gains over a baseline were larger than their interval, and which were not? Look at the table of section 5 and the
#   figure of section 6 again.
# * The composition baseline costs nothing. For which of the tasks would you still pay for a model?
# * Which of the curves in section 5 would you expect to rise most with a larger model, and what about localisation, which often hangs on a short
#   signal at one end of the protein?
#
# ## Quiz
#
# 1. Two proteins, one twice as long as the other, share one domain. What does mean pooling do to their similarity?
# 2. Between globins you find a mean cosine similarity of 0.95, between globins and kinases 0.90. Is 0.95 high?
# 3. Labels copied from the nearest neighbour score 0.60 with a random split and 0.36 with a family split; for plain composition it is 0.66 and 0.40.
#    What do the vectors add?
# 4. Suppose the probe for burial is better at a middle layer than at the last. Have the last layers lost the information?

# %% [markdown] tags=["solution"]
# ### Answers
#
# 1. The rest of the longer protein dilutes the shared domain, and the domain's own vectors may change with their new context as well. Section 8 separates
#    the two.
# 2. Only as far as 0.90 is low. The vectors of a layer share an offset: section 2 prints the mean cosine of *any* two residues. Subtract the mean vector
#    and compare again.
# 3. Nothing that composition does not have; and most of the 0.60 was recognising relatives (sections 6 and 7).
# 4. No. It means that they are less plainly laid out for a *linear* probe. A later, non-linear reader may still find it; the probe shows
#    what is easy to read (section 5).

# %% [markdown]
# ## References
#
# * Lin Z. et al. (2023) Evolutionary-scale prediction of atomic-level protein structure with a language model. *Science* 379:1123. (ESM-2)
# * Rives A. et al. (2021) Biological structure and function emerge from scaling unsupervised learning to 250 million protein sequences.
#   *PNAS* 118:e2016239118. (probing)
# * Alain G., Bengio Y. (2017) Understanding intermediate layers using linear classifier probes. *ICLR workshop*.
# * Wattenberg M., Viégas F., Johnson I. (2016) How to use t-SNE effectively. *Distill*.
# * Schmirler R., Heinzinger M., Rost B. (2024) Fine-tuning protein language models boosts predictions across diverse tasks. *Nature
#   Communications* 15:7407. (published probe figures)
# * Kabsch W., Sander C. (1983) Dictionary of protein secondary structure. *Biopolymers* 22:2577. (DSSP)
# * Tien M. et al. (2013) Maximum allowed solvent accessibilities of residues in proteins. *PLoS ONE* 8:e80635. (relative accessibility)
# * Data: see `data/README.md` for sources and licences.

# %%
pc.progress(3)
