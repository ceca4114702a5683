"""A tree ensemble as a LightGBM text model, for LightGBM's TreeSHAP.

The format is that of `Booster.save_model`, version v4, as `src/io/tree.cpp` and
`src/boosting/gbdt_model_text.cpp` of LightGBM 4 read it. A tree adds to one target only, tree i to
target i modulo the number of targets.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bundling.trees.ensemble import Tree, TreeEnsemble

_MISSING_NAN: Final = 8
_MISSING_LEFT: Final = 2
_COUNT: Final = 2**30
"""What the cover of a root is scaled to where it is no number of records; counts are int32."""

_STUMP: Final = "num_leaves=1\nnum_cat=0\nleaf_value=0\nis_linear=0\nshrinkage=1\n"


def of_class(ensemble: TreeEnsemble, place: int) -> TreeEnsemble:
    """The ensemble whose one margin is that of one of two classes."""
    if ensemble.targets > 1:
        trees = [replace(tree, value=tree.value[:, [place]]) for tree in ensemble.trees]
        return replace(ensemble, trees=tuple(trees), base=ensemble.base[[place]])
    if place == 1:
        return ensemble
    trees = [replace(tree, value=-tree.value) for tree in ensemble.trees]
    whole = 1.0 if ensemble.scale == "probability" else 0.0
    return replace(ensemble, trees=tuple(trees), base=whole - ensemble.base)


def lightgbm_model(ensemble: TreeEnsemble) -> str:
    """The text of the model without the ensemble's base, which the format has no place for."""
    targets = ensemble.targets
    columns = [_of_target(ensemble.trees, target) for target in range(targets)]
    rounds = max(1, *(len(column) for column in columns))
    texts = [
        columns[target][number] if number < len(columns[target]) else _STUMP
        for number in range(rounds)
        for target in range(targets)
    ]
    names = [f"c{place}" for place in range(ensemble.width)]
    head = [
        "tree",
        "version=v4",
        f"num_class={targets}",
        f"num_tree_per_iteration={targets}",
        "label_index=0",
        f"max_feature_idx={ensemble.width - 1}",
        f"feature_names={' '.join(names)}",
        f"feature_infos={' '.join(['[-1:1]'] * ensemble.width)}",
        "",
    ]
    trees = [f"Tree={number}\n{text}\n" for number, text in enumerate(texts)]
    return "\n".join([*head, *trees, "end of trees", ""])


def _of_target(trees: Iterable[Tree], target: int) -> list[str]:
    return [_tree(tree, target) for tree in trees if np.any(tree.value[:, target])]


def _tree(tree: Tree, target: int) -> str:
    """Inner nodes and leaves are numbered apart; a leaf's number n stands as ~n among children."""
    leaf = tree.left == -1
    if bool(leaf[0]):
        return _STUMP.replace("leaf_value=0", f"leaf_value={tree.value[0, target]!s}")
    inner = ~leaf
    number = np.where(leaf, ~(np.cumsum(leaf) - 1), np.cumsum(inner) - 1)
    counts = _counts(tree)
    decision = _MISSING_NAN + _MISSING_LEFT * tree.missing_left[inner].astype(np.int64)
    lines: dict[str, Any] = {
        "split_feature": tree.feature[inner],
        "threshold": tree.threshold[inner],
        "decision_type": decision,
        "left_child": number[tree.left[inner]],
        "right_child": number[tree.right[inner]],
        "leaf_value": tree.value[leaf, target],
        "leaf_count": counts[leaf],
        "internal_count": counts[inner],
    }
    body = [f"{name}={' '.join(map(repr, values.tolist()))}" for name, values in lines.items()]
    head = [f"num_leaves={int(leaf.sum())}", "num_cat=0"]
    return "\n".join([*head, *body, "is_linear=0", "shrinkage=1", ""])


def _counts(tree: Tree) -> NDArray[np.int64]:
    """Covers as whole numbers, none below 1, a parent's the sum of its children's."""
    leaf, cover = tree.left == -1, tree.cover
    whole = bool(np.all(cover[leaf] == np.rint(cover[leaf]))) and cover[0] < _COUNT
    scale = 1.0 if whole or cover[0] <= 0 else _COUNT / cover[0]
    counts = np.maximum(1, np.rint(cover * scale)).astype(np.int64)
    for node in np.flatnonzero(~leaf)[::-1]:  # children come after their parent
        counts[node] = counts[tree.left[node]] + counts[tree.right[node]]
    return counts
