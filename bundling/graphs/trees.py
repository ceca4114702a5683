"""Tree ensembles as ONNX: one `TreeEnsemble` node of ai.onnx.ml 5, in float64 throughout."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from bundling.graphs.link import both_shares, labels, logistic, logistic_pair, softmax
from bundling.graphs.writer import GraphWriter, tensor
from bundling.native import NotCompilable
from bundling.trees.ensemble import Tree, TreeEnsemble


def ensemble_outputs(
    writer: GraphWriter, encoded: str, ensemble: TreeEnsemble
) -> Mapping[str, str]:
    """Append the ensemble; the names of its possible outputs by what they hold.

    `encoded` is (n, width) float64. `probabilities` (n, K) float64 and `labels` (n,) of a
    classifier, else `value`: float64 (n, 1), or (n, K) for several targets.
    """
    margins = ensemble_margins(writer, encoded, ensemble)
    if ensemble.link == "softmax":
        found = softmax(writer, margins, ensemble.targets)
    elif ensemble.classes is None:
        found = logistic(writer, margins) if ensemble.link == "logistic" else margins
    elif ensemble.link == "logistic":
        found = logistic_pair(writer, margins, mirrored=False)
    else:
        found = both_shares(writer, margins) if ensemble.targets == 1 else margins
    if ensemble.classes is None:
        return {"value": found}
    return {"probabilities": found, "labels": labels(writer, found, ensemble.classes)}


def ensemble_margins(writer: GraphWriter, encoded: str, ensemble: TreeEnsemble) -> str:
    """Append the trees; their sums with the base, (n, targets) float64."""
    if not ensemble.trees:
        raise NotCompilable("an ensemble without trees has no compiled form")
    if ensemble.float32:
        narrow = writer.node("Cast", [encoded], to=TensorProto.FLOAT)
        encoded = writer.node("Cast", [narrow], to=TensorProto.DOUBLE)
    arrays = _Arrays()
    based: set[int] = set()
    for tree in ensemble.trees:
        for target in range(ensemble.targets):
            value = tree.value[:, target]
            if not value.any():
                continue
            # The base goes into the leaves of a target's first tree: one node less.
            base = 0.0 if target in based else float(ensemble.base[target])
            based.add(target)
            arrays.add(tree, value + base, target)
    margins = writer.node(
        "TreeEnsemble",
        [encoded],
        "ai.onnx.ml",
        n_targets=ensemble.targets,
        aggregate_function=1,  # the sum
        post_transform=0,
        **arrays.attributes(),
    )
    left = [0.0 if t in based else float(b) for t, b in enumerate(ensemble.base)]
    return writer.node("Add", [margins, writer.constant([left])]) if any(left) else margins


class _Arrays:
    """The node's attributes. Inner nodes and leaves are numbered apart, over all trees; a leaf
    counts for one target only, so a tree with several targets is written once for each.
    """

    def __init__(self) -> None:
        self._parts: dict[str, list[NDArray[Any]]] = {}
        self._nodes = 0
        self._leaves = 0

    def add(self, tree: Tree, value: NDArray[np.float64], target: int) -> None:
        """One tree with its leaf values (nodes,) for one target."""
        if len(tree.left) == 1:  # the operator wants a split: one whose both sides are the leaf
            tree, value = _stump(tree), np.repeat(value, 3)
        leaf = tree.left < 0
        inner = ~leaf
        places = np.where(leaf, np.cumsum(leaf) - 1, np.cumsum(inner) - 1)
        self._append("feature", tree.feature[inner])
        self._append("threshold", tree.threshold[inner])
        self._append("missing", tree.missing_left[inner])
        for side, children in (("left", tree.left[inner]), ("right", tree.right[inner])):
            is_leaf = leaf[children]
            self._append(f"{side}_is_leaf", is_leaf)
            offset = np.where(is_leaf, self._leaves, self._nodes)
            self._append(side, places[children] + offset)
        self._append("weight", value[leaf])
        self._append("target", np.full(int(leaf.sum()), target))
        self._append("root", [self._nodes])
        self._nodes += int(inner.sum())
        self._leaves += int(leaf.sum())

    def attributes(self) -> dict[str, Any]:
        """As the operator names them."""
        joined = {name: np.concatenate(parts) for name, parts in self._parts.items()}
        integers = {
            "nodes_featureids": "feature",
            "nodes_truenodeids": "left",
            "nodes_trueleafs": "left_is_leaf",
            "nodes_falsenodeids": "right",
            "nodes_falseleafs": "right_is_leaf",
            "nodes_missing_value_tracks_true": "missing",
            "leaf_targetids": "target",
            "tree_roots": "root",
        }
        return {
            **{name: joined[key].astype(np.int64).tolist() for name, key in integers.items()},
            "nodes_splits": tensor(joined["threshold"]),
            "nodes_modes": tensor(np.zeros(self._nodes), np.uint8),  # 0: at most the threshold
            "leaf_weights": tensor(joined["weight"]),
        }

    def _append(self, name: str, values: Any) -> None:
        self._parts.setdefault(name, []).append(np.asarray(values))


def _stump(leaf: Tree) -> Tree:
    """A split of the first column between two leaves, in place of a tree that is one leaf."""
    ends = np.array([-1, -1])
    return replace(
        leaf,
        feature=np.array([0, *ends]),
        threshold=np.zeros(3),
        left=np.array([1, *ends]),
        right=np.array([2, *ends]),
        missing_left=np.zeros(3, np.bool_),
    )
