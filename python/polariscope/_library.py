"""The compiled library through its C interface, include/polariscope/c_api.h: structures, functions, errors in words."""

import ctypes
import functools
import os
from ctypes import POINTER, Structure, c_char_p, c_double, c_int32, c_int64, c_size_t, c_void_p
from pathlib import Path

NAME = "libpolariscope.so"
API_VERSION = 3
FLOAT32, FLOAT64 = 0, 1


class ArgumentError(ValueError, RuntimeError):
    """A mistake in an argument: its name, what was expected and found. Also a RuntimeError, as PyTorch's own are."""


class Heads(Structure):
    """[batch, heads, rows, width], the width contiguous; strides in elements."""

    _fields_ = [("data", c_void_p), ("batch_stride", c_int64), ("head_stride", c_int64), ("row_stride", c_int64)]


NO_HEADS = Heads()


class _Sized(Structure):
    """A structure that begins with its size."""

    def __init__(self, *fields, **named):
        super().__init__(ctypes.sizeof(self), *fields, **named)


class Form(_Sized):
    _fields_ = [("size", c_size_t), ("name", c_char_p), ("alias", c_char_p), ("formula", c_char_p),
                ("statistics", c_char_p), ("parameters", c_char_p), ("scaled", c_int32), ("kind", c_int32)]


class Attention(_Sized):
    _fields_ = [("size", c_size_t), ("type", c_int32), ("threads", c_int32), ("form", c_char_p),
                ("parameter_count", c_int32), ("causal", c_int32), ("parameter_names", POINTER(c_char_p)),
                ("parameter_values", POINTER(c_double)), ("batch", c_int64), ("heads", c_int64),
                ("key_heads", c_int64), ("queries", c_int64), ("keys", c_int64), ("width", c_int64),
                ("value_width", c_int64), ("window", c_int64), ("scale", c_double), ("query", Heads), ("key", Heads),
                ("value", Heads), ("bias", Heads), ("slopes", c_void_p), ("sink", c_void_p),
                ("key_lengths", c_void_p), ("bfloat16", c_int32), ("bfloat16_key", Heads),
                ("bfloat16_value", Heads), ("pages", c_void_p), ("pages_stride", c_int64), ("page_keys", c_int64),
                ("page_count", c_int64)]


class Rows(_Sized):
    _fields_ = [("size", c_size_t), ("output", Heads)] + [(name, c_void_p) for name in (
        "entropy", "sum_of_squares", "maximum", "argmax", "first_key", "row_sum", "log_sum_exp", "logit_mean",
        "logit_variance", "logit_maximum", "skewness", "visible", "non_finite", "shift", "inverse", "mass",
        "first_visible_key")]


class RowsGradient(_Sized):
    _fields_ = [("size", c_size_t), ("output", Heads)] + [(name, c_void_p) for name in (
        "entropy", "sum_of_squares", "maximum", "first_key", "log_sum_exp", "logit_mean", "logit_variance",
        "first_visible_key")]


class Gradient(_Sized):
    _fields_ = [("size", c_size_t), ("query", Heads), ("key", Heads), ("value", Heads), ("bias", Heads)] + [
        (name, c_void_p) for name in ("sink", "transform_factor", "sum_offset", "count_power", "gamma", "zeta",
                                      "epsilon", "alpha")]


class Alarm(_Sized):
    _fields_ = [("size", c_size_t), ("kind", c_int32), ("layer", c_int32), ("head", c_int32), ("step", c_int64)] + [
        (name, c_double) for name in ("relative_entropy", "norm_share", "logit_variance", "variance_growth",
                                      "gradient_factor")] + [("words", c_char_p)]


_NUMBERS = POINTER(c_double)
_FUNCTIONS = {  # name: what it returns, and takes
    "api_version": (c_int32,),
    "version": (c_char_p,),
    "last_error": (c_char_p,),
    "instruction_sets": (c_char_p,),
    "use_instruction_set": (c_int32, c_char_p),
    "form_count": (c_int32,),
    "describe_form": (c_int32, c_int32, POINTER(Form)),
    "find_form": (c_int32, c_char_p),
    "attend": (c_int32, POINTER(Attention), POINTER(Rows)),
    "attend_columns": (c_int32, POINTER(Attention), POINTER(Rows), c_void_p),
    "attention_weights": (c_int32, POINTER(Attention), POINTER(Heads)),
    "attend_backward": (c_int32, POINTER(Attention), POINTER(Rows), POINTER(RowsGradient), POINTER(Gradient)),
    "detector_new": (c_void_p, c_int32, c_int32, c_int32, c_int32),
    "detector_free": (None, c_void_p),
    "detector_step": (c_int32, c_void_p, c_int64, c_double, _NUMBERS, _NUMBERS, _NUMBERS, POINTER(Alarm), c_int32,
                      POINTER(c_int32)),
    "detector_state_size": (c_int64, c_void_p),
    "detector_save": (c_int32, c_void_p, _NUMBERS),
    "detector_restore": (c_int32, c_void_p, _NUMBERS, c_int64),
}


def _candidates():
    named = os.environ.get("POLARISCOPE_LIBRARY")
    if named:
        return [Path(named)]
    package = Path(__file__).resolve().parent
    return [package / NAME, package.parent.parent / "build" / "release" / NAME]


@functools.lru_cache(maxsize=None)
def library() -> ctypes.CDLL:
    """The library, its functions by their names without "polariscope_". Calls release Python's lock."""
    candidates = _candidates()
    found = next((path for path in candidates if path.is_file()), None)
    if found is None:
        looked = ", ".join(str(path) for path in candidates)
        raise ImportError(f"polariscope's library is not built (looked for {looked}): pip install it, run ./dev build "
                          f"in a clone, or set POLARISCOPE_LIBRARY to the path of {NAME}")
    try:
        loaded = ctypes.CDLL(str(found))
        for name, (result, *arguments) in _FUNCTIONS.items():
            function = getattr(loaded, "polariscope_" + name)
            function.restype, function.argtypes = result, arguments
            setattr(loaded, name, function)
    except (OSError, AttributeError) as error:
        raise ImportError(f"{found} is not a {NAME} that this package can use: set POLARISCOPE_LIBRARY to one of "
                          f"version {API_VERSION} of its interface or later ({error})") from error
    if loaded.api_version() < API_VERSION:
        raise ImportError(f"{found} has version {loaded.api_version()} of its interface: expected {API_VERSION} or "
                          "later; build it again")
    return loaded


def last_error() -> str:
    """The sentence of this thread's last call that failed."""
    return library().last_error().decode()


def check(failed: int) -> None:
    """Raises what a call of the library that returned `failed` has to say."""
    if failed:
        sentence = last_error()
        raise ArgumentError(sentence if sentence.startswith("attend: ") else f"attend: {sentence}")
