"""An ensemble of decision trees, whatever library grew it: what a graph and an explainer need."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Link = Literal["identity", "logistic", "softmax"]


@dataclass(frozen=True, slots=True, eq=False)
class Tree:
    """One tree as arrays over its nodes; node 0 is the root, and children come after their parent.

    At an inner node a record goes `left` where its `feature` is at most `threshold`, a missing
    value (NaN) where `missing_left` says. A leaf has -1 in `feature`, `left` and `right`, and adds
    `value` (nodes, targets) to the sums. `cover` is the number of training records, or their
    weight, that reached the node: a parent's is the sum of its children's.
    """

    feature: NDArray[np.int64]
    threshold: NDArray[np.float64]
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    missing_left: NDArray[np.bool_]
    value: NDArray[np.float64]
    cover: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class TreeEnsemble:
    """Trees whose leaf values add up, with `base` (targets,), to the margin.

    `width` is the number of columns the trees take. `float32` says that the library rounds inputs
    to float32 before it compares them. `link` turns the margin into the output: `logistic` has one
    target, the log-odds of the second class. `scale` is what the margin is measured in. `classes`
    are the labels of a classifier in the order of its outputs, None for a regression.
    """

    trees: tuple[Tree, ...]
    width: int
    base: NDArray[np.float64]
    link: Link
    scale: Literal["log-odds", "probability", "value"]
    float32: bool
    classes: tuple[Any, ...] | None

    @property
    def targets(self) -> int:
        """How many sums the trees add to."""
        return len(self.base)


def renumbered(tree: Tree) -> Tree:
    """The tree with its nodes in the order of their depth, and without nodes nothing leads to."""
    order, at = [0], 0
    while at < len(order):
        node = order[at]
        if tree.left[node] >= 0:
            order += [int(tree.left[node]), int(tree.right[node])]
        at += 1
    kept = np.asarray(order, np.int64)
    # One place more, so that the -1 of a leaf finds itself.
    places = np.full(len(tree.left) + 1, -1, np.int64)
    places[kept] = np.arange(len(kept))
    return Tree(
        tree.feature[kept],
        tree.threshold[kept],
        places[tree.left[kept]],
        places[tree.right[kept]],
        tree.missing_left[kept],
        tree.value[kept],
        tree.cover[kept],
    )
