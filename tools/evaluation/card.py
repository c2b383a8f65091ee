"""Figures and facts as text. Every number and every judgement of the card comes from its two arguments."""

import textwrap

from evaluation import contacts, mutations, perplexity, structure

from plmcourse import datasets
from plmcourse.contacts import CUTOFF

FAMILIES = {
    "general": "general proteins",
    "HBB": "haemoglobins and other globins",
    "HRAS": "small GTPases (H-Ras)",
    "TEM1": "TEM-1 lactamases",
    "Ubiquitin": "ubiquitin",
    "HEWL": "lysozyme C",
    "BPTI": "BPTI / Kunitz",
    "CheY": "CheY",
    "Thioredoxin": "thioredoxin",
    "DHFR_ECOLI": "dihydrofolate reductase",
    "1A3A": "PTS IIA",
    "GFP": "GFP",
    "GB1": "GB1",
}
SCANS = {"tem1": "TEM-1", "gb1": "GB1", "abeta42": "amyloid β", "tdp43": "TDP-43", "ha": "haemagglutinin"}
SCORES = {
    "masked_marginals": "masked marginals",
    "wild_type_marginals": "wild-type marginals",
    "blosum62": "BLOSUM62",
    "background": "background",
    "profile": "profile",
}
LABELS = {
    "residues": "residues read",
    "seconds": "time",
    "torch": "PyTorch",
}  # other names of training.json are plain enough


def interval(triple, digits):
    """ "17.7 (17.5 to 18.0)" from value, low, high."""
    value, low, high = (f"{number + 0.0:.{digits}f}" for number in triple)
    return f"{value} ({low} to {high})"


def verdict(triple, neutral=0.0, words=("better", "undecided", "worse")):
    """The first word if the whole interval lies above ``neutral``, the last if below it, else the middle one."""
    _, low, high = triple
    return words[0] if low > neutral else words[2] if high < neutral else words[1]


def lower(triple):
    """Verdict on a ratio of perplexities, of which less is better."""
    return verdict(triple, 1.0, ("worse", "undecided", "better"))


def table(header, rows):
    """A markdown table, lines of cells."""
    return "\n".join("| " + " | ".join(map(str, cells)) + " |" for cells in (header, ["---"] * len(header), *rows))


def paragraph(*sentences):
    """Sentences as lines of at most 120 letters."""
    return textwrap.fill(" ".join(filter(None, sentences)), 120, break_long_words=False, break_on_hyphens=False)


def difference(triple, word, digits=2):
    """An interval with its verdict in front: "better, 0.12 (0.08 to 0.15)"."""
    return f"{word}, {interval(triple, digits)}"


def listed(names):
    """ "a, b and c"."""
    names = list(names)
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


# ---------------------------------------------------------------- the figures, section by section


def perplexity_text(found):
    """Section on masked perplexity."""
    groups = {"general": found["general"]} | found["families"]
    own = any("unigram_of_family" in group for group in groups.values())
    header = [
        "held-out members of",
        "proteins",
        "masked residues",
        "these weights",
        "unigram",
        *["unigram of the family"] * own,
        "these weights / unigram",
    ]
    rows = []
    for name, group in groups.items():
        family = [interval(group["unigram_of_family"], 1) if "unigram_of_family" in group else "–"] * own
        rows.append(
            [
                FAMILIES.get(name, name),
                group["proteins"],
                f"{group['masked_residues']:,}",
                interval(group["model"], 1),
                interval(group["unigram"], 1),
                *family,
                difference(group["ratio"], lower(group["ratio"])),
            ]
        )
    about = paragraph(
        f"{100 * perplexity.MASK_PROB:.0f} % of the residues masked, all at once; lower is better. Unigram: a model"
        " that only knows how common each amino acid is among the proteins of `pretrain_train` (or in the rest of the"
        " family), asked about the same residues. Intervals over proteins. For orientation: the published figure of"
        f" Meta's 8M is {perplexity.PUBLISHED:g}, but on other proteins (OMGprot50).",
        f"How the members of families were chosen: {datasets.info('family_heldout')['filter']}",
    )
    return f"### Masked perplexity\n\n{about}\n\n{table(header, rows)}\n"


def dms_text(found):
    """Section on deep mutational scans."""
    rows = []
    for name, scan in found.items():
        best = max((key for key in SCORES if key in scan), key=lambda key: scan[key][0])
        cells = [interval(scan[key], 2) if key in scan else "–" for key in SCORES]
        cells = [f"**{cell}**" if key == best else cell for key, cell in zip(SCORES, cells)]
        meta = f"{mutations.PUBLISHED[name]:.3f}" if name in mutations.PUBLISHED else "–"
        rows.append(
            [SCANS[name], f"{scan['mutants']:,}", *cells, difference(scan["gain"], verdict(scan["gain"])), meta]
        )
    header = ["scan", "single mutants", *SCORES.values(), "masked marginals − BLOSUM62", "published: Meta's 8M"]
    about = paragraph(
        "Spearman correlation of scores with the experiment; the highest of a row is bold. BLOSUM62, the background"
        " (shares of the residues in `pretrain_train`) and the profile of homologs (where `chains_test` has one of that"
        " protein) need no model. Intervals from drawing whole positions. The published figures are those of"
        " ProteinGym; for GB1 it has another scan (binding, not stability). A site-independent model of an alignment"
        " reaches there",
        f"{listed(f'{value:.3f} on {SCANS[name]}' for name, value in mutations.SITE_INDEPENDENT.items())}.",
    )
    return f"### Deep mutational scans\n\n{about}\n\n{table(header, rows)}\n"


def contacts_text(found):
    """Section on contacts."""
    rows = [
        ["attention, regression head", interval(found["model"], 3)],
        ["distance along the chain only", interval(found["distance"], 3)],
        ["chance: share of contacts among the pairs", interval(found["chance"], 3)],
        ["attention − distance", difference(found["gain"], verdict(found["gain"]), 3)],
    ]
    about = paragraph(
        f"Precision of the L best of all pairs at least {contacts.LONG_RANGE} residues apart, L the length of the"
        f" chain; contact: Cβ-Cβ below {CUTOFF:g} Å (Cβ built from the backbone). {found['chains']} chains of"
        " `chains_test`.",
        f"The head is a sparse logistic regression over the corrected maps of all {found['heads']} heads (it uses"
        f" {found['heads_used']}), fitted on {found['chains_fitted']} chains of `chains_train`; the baseline is a"
        " logistic regression on the separation alone, fitted on the same pairs. Intervals over chains. Published for"
        f" Meta's 8M on its own set of chains: {contacts.PUBLISHED:.3f}.",
    )
    return f"### Long-range contacts\n\n{about}\n\n{table(['pairs ranked by', 'P@L'], rows)}\n"


def structure_text(found):
    """Section on secondary structure."""
    rows = [[f"these weights, hidden state {found['layer']}", interval(found["model"], 3), "–"]]
    for key, name in (
        ("residue", "the letter, one-hot"),
        ("window_of_7", "a window of 7 letters, one-hot"),
        ("random_weights", f"random weights, hidden state {found['random_layer']}"),
    ):
        gain = found[f"gain_over_{key}"]
        rows.append([name, interval(found[key], 3), difference(gain, verdict(gain), 3)])
    about = paragraph(
        "Share of right residues in three states (helix, strand, other), read by a logistic regression fitted on"
        f" {found['chains_fitted']} chains and tested on {found['residues']:,} residues of {found['chains']} chains of"
        " other families. The hidden state was chosen on training chains set aside for it. Intervals over chains."
        f" Published for Meta's 8M, on other chains and with another head: {structure.PUBLISHED:.3f}."
    )
    header = ["vectors", "accuracy", "these weights − these vectors"]
    return f"### Secondary structure\n\n{about}\n\n{table(header, rows)}\n"


TEXTS = {"perplexity": perplexity_text, "dms": dms_text, "contacts": contacts_text, "structure": structure_text}


def figures_text(figures):
    """The sections that are there, in markdown."""
    return "\n".join(text(figures[name]) for name, text in TEXTS.items() if name in figures)


# ---------------------------------------------------------------- what the figures mean


AGAINST = ("above", "not clearly different from", "below")


def perplexity_judgement(found):
    """What it knows of proteins in general, and of which families."""
    general = found["general"]
    word = {"better": "clearly below", "undecided": "not clearly different from", "worse": "clearly above"}[
        lower(general["ratio"])
    ]
    known = [name for name, group in found["families"].items() if lower(group["ratio"]) == "better"]
    rest = [FAMILIES.get(name, name) for name in found["families"] if name not in known]
    families = [f"{FAMILIES.get(name, name)} {found['families'][name]['model'][0]:.1f}" for name in known]
    return " ".join(
        filter(
            None,
            [
                (
                    f"On held-out proteins in general its perplexity, {general['model'][0]:.1f}, is {word} that of"
                    f" counting letters, {general['unigram'][0]:.1f} (ratio {general['ratio'][0]:.2f})."
                ),
                f"On held-out members of families it is clearly below in {len(known)} of {len(found['families'])}"
                + (f" ({listed(families)})." if families else "."),
                f"It is not in: {listed(rest)}." if rest else "",
            ],
        )
    )


def dms_judgement(found):
    """Where zero-shot scores are worth something, and where a simple baseline does as well."""
    words = {"better": "above", "undecided": "not clearly different", "worse": "below"}
    by = {say: [SCANS[n] for n, scan in found.items() if verdict(scan["gain"]) == word] for word, say in words.items()}
    parts = [f"{say} on {listed(names)}" for say, names in by.items() if names]
    text = (
        "Beside BLOSUM62, which knows nothing of the protein, its masked marginals rank mutants thus:"
        f" {'; '.join(parts)}."
    )
    if "tem1" not in found:
        return text
    best = max(mutations.MODEL, key=lambda key: found["tem1"][key][0])
    side = verdict(found["tem1"][best], mutations.PUBLISHED["tem1"], AGAINST)
    return (
        text
        + f" On TEM-1 the higher of its two scores ({SCORES[best]}, {found['tem1'][best][0]:.2f}) is {side} the "
        f"{mutations.PUBLISHED['tem1']:.3f} published for Meta's 8M."
    )


def reading_judgement(contact, probe):
    """Contacts and secondary structure in a sentence each."""
    others = listed(
        f"{verdict(probe[f'gain_over_{key}'], words=AGAINST)} what {name} ({probe[key][0]:.3f})"
        for key, name in (
            ("residue", "the letter alone gives"),
            ("window_of_7", "seven letters give"),
            ("random_weights", "random weights give"),
        )
    )
    return (
        f"The precision of its long-range contacts, {contact['model'][0]:.3f}, is"
        f" {verdict(contact['gain'], words=AGAINST)} that of guessing from distance along the chain,"
        f" {contact['distance'][0]:.3f}. Secondary structure read from it ({probe['model'][0]:.3f}) is {others}."
    )


def advice(figures):
    """What to use it for: where it beats the baselines that need no model."""
    gains = {name: scan["gain"] for name, scan in figures["dms"].items()}
    won, lost = (
        [SCANS[n] for n, gain in gains.items() if (verdict(gain) == "better") is wanted] for wanted in (True, False)
    )
    good, not_good = ([f"zero-shot scores ({listed(names)})"] if names else [] for names in (won, lost))
    precision, guessed = (figures["contacts"][name][0] for name in ("model", "distance"))
    for name, gain in (
        (f"long-range contacts (precision {precision:.3f} against {guessed:.3f})", figures["contacts"]["gain"]),
        ("secondary structure", figures["structure"]["gain_over_window_of_7"]),
    ):
        (good if verdict(gain) == "better" else not_good).append(name)
    nowhere = "Nowhere does it clearly beat the baselines without a model (BLOSUM62, distance, seven letters)."
    return " ".join(
        filter(
            None,
            [
                "Good for: running the course without a network.",
                f"It clearly beats baselines without a model in {listed(good)}." if good else nowhere,
                f"Not for conclusions about {listed(not_good)}: they need a better model." if not_good else "",
            ],
        )
    )


# ---------------------------------------------------------------- the card


def duration(seconds):
    """ "1 h 05 min" or "20 min" or "45 s"."""
    minutes = round(seconds / 60)
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def fact(name, value):
    """A value of training.json in words; nested ones become lists."""
    if isinstance(value, dict):
        return "; ".join(
            f"{key}: {fact(key, part)}" if not isinstance(part, dict) else f"{key} ({fact(key, part)})"
            for key, part in value.items()
        )
    if isinstance(value, list):
        return ", ".join(fact(name, part) for part in value)
    if name == "seconds":
        return duration(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, float):
        return f"{value:g}"
    return str(value) if name == "seed" else f"{value:,}"


def training_text(training):
    """The section on training: everything that training.json records, in its order."""
    rows = [
        [LABELS.get(name, name.replace("_", " ")), fact(name, value).replace("|", "/").replace("<mask>", "`<mask>`")]
        for name, value in training.items()
    ]
    lead = "From random weights, by masked language modelling; `training.json` beside the weights records the run:"
    return f"## Training\n\n{lead}\n\n{table(['what', 'how'], rows)}\n"


def card_text(figures, training):
    """The whole model card.

    Parameters
    ----------
    figures : dict
        ``weights`` and the four sections, as in evaluation.json.
    training : dict
        As in training.json.

    Returns
    -------
    str, markdown
    """
    return "\n".join(
        [
            head_text(figures["weights"]),
            judgement_text(figures),
            training_text(training),
            (
                "## Figures\n\n"
                + paragraph(
                    'Intervals are 95 %, by bootstrap. "Better", "worse" and "undecided" go by the interval of the'
                    " difference (for perplexity: of the ratio), drawn for both sides alike."
                )
                + "\n\n"
                + figures_text(figures)
            ),
            LAST,
        ]
    )


def head_text(w):
    """Title and what the files are."""
    return (
        f"# {w['name']}: ESM-2's {w['size']} architecture, trained by this course\n\n"
        + paragraph(
            f"{w['layers']} layers, {w['dim']} wide, {w['heads']} heads; {w['parameters']:,} parameters with the"
            f" contact head, as {w['precision']} safetensors of {w['megabytes']:.1f} MB. **These are not Meta's"
            " weights.** `tools/evaluate.py --card` wrote this page from measurements, `tools/evaluate.py --check`"
            f" measures again and compares. SHA-256 of the file measured: `{w['sha256']}`."
        )
        + "\n"
    )


def judgement_text(figures):
    """What the figures say, in sentences."""
    facts = [
        perplexity_judgement(figures["perplexity"]),
        dms_judgement(figures["dms"]),
        reading_judgement(figures["contacts"], figures["structure"]),
    ]
    return "## What it is good for, and what not\n\n" + "\n\n".join(map(paragraph, [advice(figures), *facts])) + "\n"


LAST = (
    "\n\n".join(
        [
            "## Use",
            paragraph(
                '`load("8M")` takes the embedded weights when no others can be had, and says so. With transformers'
                ' alone: pass `dtype=torch.float32`, and `attn_implementation="eager"` where attention is read.'
            ),
            "## Licence",
            paragraph(
                "Weights: MIT. Their sources: protein sequences of UniProtKB/Swiss-Prot, CC BY 4.0; where profiles of"
                " homologs served",
                "as targets (see the table above), those of structure_db in promod3-data:",
                datasets.info("chains_train")["licence"] + ".",
            ),
        ]
    )
    + "\n"
)
