"""LightGBM's C library, called without its Python package.

`import lightgbm` would bring SciPy, and pandas and scikit-learn where they are installed, into
every lane; the library in its wheel needs nothing but an OpenMP runtime. The functions are those of
LightGBM's `c_api.h`.
"""

import ctypes
import importlib.util
import weakref
from pathlib import Path
from typing import Final

import numpy as np

from scoring.errors import ModelError
from scoring.records import Column

_NAMES: Final = ("lib_lightgbm.so", "lib_lightgbm.dylib", "lib_lightgbm.dll")
_FLOAT64: Final = 1  # C_API_DTYPE_FLOAT64
_CONTRIBUTIONS: Final = 3  # C_API_PREDICT_CONTRIB
_ONE_THREAD: Final = b"num_threads=1 verbosity=-1"


class LibraryUnavailable(Exception):
    """LightGBM's library is not installed or cannot be loaded; the text says what to install."""


def load_library() -> ctypes.CDLL:
    """The library of the installed package `lightgbm`. Raises LibraryUnavailable."""
    package = importlib.util.find_spec("lightgbm")
    if package is None or package.origin is None:
        raise LibraryUnavailable("install the extra 'reasons' (LightGBM computes them)")
    directory = Path(package.origin).parent
    found = [directory / place / name for place in ("lib", "bin") for name in _NAMES]
    path = next((path for path in found if path.is_file()), None)
    if path is None:
        raise LibraryUnavailable("the installed LightGBM has no library: install it again")
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        raise LibraryUnavailable(
            "LightGBM's library cannot be loaded: install an OpenMP runtime (libgomp1)"
        ) from error
    library.LGBM_BoosterFree.argtypes = [ctypes.c_void_p]
    return library


class Booster:
    """A model in LightGBM's text format. Safe to call from several threads."""

    def __init__(self, library: ctypes.CDLL, model: str) -> None:
        """Raises ValueError when LightGBM refuses the model."""
        self._library = library
        self._handle = ctypes.c_void_p()
        iterations = ctypes.c_int()
        failed = library.LGBM_BoosterLoadModelFromString(
            ctypes.c_char_p(model.encode()), ctypes.byref(iterations), ctypes.byref(self._handle)
        )
        if failed:
            raise ValueError("LightGBM cannot read the model")
        weakref.finalize(self, library.LGBM_BoosterFree, self._handle)
        self.width = self._number("LGBM_BoosterGetNumFeature")
        self.targets = self._number("LGBM_BoosterNumModelPerIteration")

    def contributions(self, rows: Column) -> Column:
        """TreeSHAP of rows (records, width) in float64: (records, targets, width + 1), the last
        column being the expected value. Raises ModelError.
        """
        data = np.ascontiguousarray(rows, np.float64)
        if data.ndim != 2 or data.shape[1] != self.width:  # C would read past the array
            raise ModelError("the trees take another number of columns than the model gives")
        values = np.empty((len(data), self.targets, self.width + 1))
        written = ctypes.c_int64()
        failed = self._library.LGBM_BoosterPredictForMat(
            self._handle,
            data.ctypes.data_as(ctypes.c_void_p),
            ctypes.c_int(_FLOAT64),
            ctypes.c_int32(data.shape[0]),
            ctypes.c_int32(data.shape[1]),
            ctypes.c_int(1),  # row by row
            ctypes.c_int(_CONTRIBUTIONS),
            ctypes.c_int(0),
            ctypes.c_int(-1),  # all trees
            ctypes.c_char_p(_ONE_THREAD),
            ctypes.byref(written),
            values.ctypes.data_as(ctypes.POINTER(ctypes.c_double)),
        )
        if failed or written.value != values.size:
            raise ModelError("LightGBM could not compute the contributions")
        return values

    def _number(self, function: str) -> int:
        value = ctypes.c_int()
        if getattr(self._library, function)(self._handle, ctypes.byref(value)):
            raise ValueError("LightGBM cannot read the model")
        return value.value
