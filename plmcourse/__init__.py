"""plmcourse: the helper package of a course on protein language models.

A notebook needs one import, ``import plmcourse as pc``. What it uses is loaded on first use, so that importing the package
costs nothing: PyTorch is only imported when a model is needed.
"""
from importlib import import_module

__version__ = "0.1.0"

# public name -> the module that defines it
_HOME = {
    "load": "models", "untrained": "models", "to_fair_esm": "models", "FAMILY": "models",
    "mask_tokens": "pretraining", "mlm_loss": "pretraining", "perplexity": "pretraining", "audit_masking": "pretraining",
    "unigram_perplexity": "pretraining", "masked_perplexity": "pretraining",
    "embed": "embeddings", "mean_pool": "embeddings", "nearest_label": "embeddings",
    "masked_marginals": "scoring", "wild_type_marginals": "scoring", "mutation_score": "scoring",
    "pseudo_log_likelihood": "scoring", "pseudo_perplexity": "scoring", "additive_scores": "scoring",
    "scaled_dot_product_attention": "architecture", "apply_rotary": "architecture", "TransformerBlock": "architecture",
    "MiniESM2": "architecture", "count_parameters": "architecture",
    "attention_maps": "contacts", "apc": "contacts", "precision_at_l": "contacts", "fit_contact_head": "contacts",
    "head_profile": "contacts", "contact_map": "contacts",
    "parse_mutation": "sequences", "apply_mutations": "sequences", "read_fasta": "sequences", "RESIDUES": "sequences",
    "bootstrap_ci": "metrics", "spearman_ci": "metrics", "scores": "metrics", "compare": "metrics", "recalls": "metrics",
    "SequenceClassifier": "classifiers", "ResidueClassifier": "classifiers", "align_labels": "classifiers", "thaw": "classifiers",
    "LoRALinear": "lora", "inject_lora": "lora", "lora_parameters": "lora", "merge": "lora",
    "fit": "training", "predict": "training", "examples": "training",
    "kabsch_rmsd": "structures", "lddt_ca": "structures", "tm_score": "structures", "read_confidence": "structures",
    "coordinates_from_distances": "structures", "handedness": "structures",
    "fold": "esmfold", "show": "views",
    "cluster_split": "datasets",
    "check": "checks", "hint": "checks", "progress": "checks",
}
_MODULES = ("architecture", "checks", "classifiers", "contacts", "datasets", "embeddings", "esmfold", "folding", "lora", "metrics",
            "models", "plots", "pretraining", "proteomes", "scoring", "sequences", "structures", "training", "views")

__all__ = [*_HOME, *_MODULES]


def __getattr__(name):
    if name in _HOME:
        return getattr(import_module(f"plmcourse.{_HOME[name]}"), name)
    if name in _MODULES:
        return import_module(f"plmcourse.{name}")
    raise AttributeError(f"plmcourse has no {name!r}; it has: {', '.join(sorted(__all__))}")


def __dir__():
    return sorted(__all__)
