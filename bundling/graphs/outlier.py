"""An IsolationForest as one ONNX tree ensemble.

The anomaly score is that of Liu, Ting and Zhou, "Isolation Forest" (ICDM 2008), as scikit-learn
computes it: s(x) = 2 ** (-E[h(x)] / c(n)), the mean path length over all trees divided by the
average path length of an unsuccessful search among n samples. scikit-learn's `score_samples` is
-s(x), and a record is an outlier where s(x) > -offset_.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper

from bundling.graphs.trees import ensemble_margins
from bundling.graphs.writer import GraphWriter, make_model
from bundling.trees.ensemble import TreeEnsemble
from bundling.trees.sklearn_trees import sklearn_tree


def isolation_forest_graph(forest: Any) -> ModelProto:
    """Input `numeric` float64 (records, features), output `anomaly` float64 (records, 1)."""
    width = int(forest.n_features_in_)
    scale = -1.0 / (len(forest.estimators_) * _average_path_length(forest.max_samples_))
    pairs = zip(forest.estimators_, forest.estimators_features_, strict=True)
    trees = tuple(
        sklearn_tree(member.tree_, scale * _path_lengths(member.tree_), features)
        for member, features in pairs
    )
    exponents = TreeEnsemble(trees, width, np.zeros(1), "identity", "value", True, None)
    writer = GraphWriter()
    exponent = ensemble_margins(writer, "numeric", exponents)
    writer.node("Pow", [writer.constant(2.0), exponent], name="anomaly")
    double = TensorProto.DOUBLE
    return make_model(
        writer,
        "isolation_forest",
        [helper.make_tensor_value_info("numeric", double, [None, width])],
        [helper.make_tensor_value_info("anomaly", double, [None, 1])],
    )


def _path_lengths(tree: Any) -> NDArray[np.float64]:
    """Per node, (nodes, 1): its depth, and the expected rest of the way among its samples."""
    lengths = np.zeros((tree.node_count, 1))
    for node in range(tree.node_count):  # children always come after their parent
        for child in (tree.children_left[node], tree.children_right[node]):
            if child >= 0:
                lengths[child] = lengths[node] + 1
    lengths[:, 0] += [_average_path_length(int(samples)) for samples in tree.n_node_samples]
    return lengths


def _average_path_length(samples: int) -> float:
    """c(n) of the paper: 2 H(n - 1) - 2 (n - 1) / n, with H(i) close to ln(i) + Euler's gamma."""
    if samples <= 1:
        return 0.0
    if samples == 2:
        return 1.0
    return float(2.0 * (np.log(samples - 1.0) + np.euler_gamma) - 2.0 * (samples - 1.0) / samples)
