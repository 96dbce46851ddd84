"""A model with our attention is held to its own "eager" once: short forward passes of each."""

import warnings

import torch

from .. import calls, watching
from .attention import NAME, counting

_TOKENS, _PADDING = 8, 3
_TOLERANCE = {torch.bfloat16: 0.1, torch.float16: 0.05}


def _configs(model):
    from transformers import PreTrainedModel

    found = {id(module.config): module.config for module in model.modules() if isinstance(module, PreTrainedModel)}
    return [config for config in found.values() if config._attn_implementation == NAME]


class _As:
    """Within the block the model is in evaluation, has another implementation, and neither keeps gradients nor moves
    the state of random numbers."""

    def __init__(self, model, implementation):
        self._modules = [module for module in model.modules() if module.training]
        self._configs, self._implementation = _configs(model), implementation

    def __enter__(self):
        self._random = torch.random.fork_rng(devices=[])
        self._random.__enter__()
        self._grad = torch.no_grad()
        self._grad.__enter__()
        for module in self._modules:
            module.training = False
        for config in self._configs:
            config._attn_implementation_internal = self._implementation

    def __exit__(self, *reason):
        for module in self._modules:
            module.training = True
        for config in self._configs:
            config._attn_implementation_internal = NAME
        self._grad.__exit__(*reason)
        self._random.__exit__(*reason)


def _inputs(model, ids):
    """One sequence of a few tokens as it is, and it beside a copy that is padded on the left; and which are real."""
    bare = ids[:1, :_TOKENS]
    both = bare.expand(2, -1).clone()
    mask = torch.ones_like(both)
    mask[1, :min(_PADDING, both.shape[1] - 1)] = 0
    for inputs, real in (({"input_ids": bare}, torch.ones_like(bare)),
                         ({"input_ids": both, "attention_mask": mask}, mask)):
        if model.config.is_encoder_decoder:
            inputs["decoder_input_ids"] = inputs["input_ids"]
            real = torch.ones_like(real)
        yield inputs, real.bool()


def _first(output):
    return output[0] if isinstance(output[0], torch.Tensor) else next(x for x in output if isinstance(x, torch.Tensor))


class CannotCheck(RuntimeError):
    """A model needs more than tokens."""


def check(model, ids=None) -> None:
    """Raises RuntimeError where a model that has our attention does not call it, or does not compute with it what it
    computes with "eager". Takes four forward passes of a few tokens: of `ids` [sequences, tokens], or of the
    vocabulary's first."""
    if ids is None:
        ids = torch.arange(_TOKENS, device=model.device)[None] % model.config.get_text_config().vocab_size
    name = type(model).__name__
    for inputs, real in _inputs(model, ids):
        with _As(model, "eager"), watching.inside():
            try:
                eager = _first(model(**inputs))
            except Exception as error:  # whatever a model wants that we do not know
                raise CannotCheck(f"polariscope: {name} does not run on tokens alone, so that it cannot be held to its "
                                  f"own \"eager\" ({type(error).__name__}: {error})") from error
        with _As(model, NAME), watching.inside(), counting() as called:
            ours = _first(model(**inputs))
        if not called:
            raise RuntimeError(f"polariscope: {name} has attn_implementation=\"{NAME}\" and never calls it: load it "
                               "with \"eager\" or \"sdpa\"")
        if ours.shape[:2] == real.shape:
            ours, eager = ours[real], eager[real]
        difference, size = (ours.double() - eager.double()).abs().max().item(), eager.abs().max().item()
        if not difference <= _TOLERANCE.get(model.dtype, 1e-3) * max(size, 1e-6):
            raise RuntimeError(
                f"polariscope: {name} computes with \"{NAME}\" what differs from its own \"eager\" by {difference:.2g} "
                f"of {size:.2g}: load it with \"eager\" or \"sdpa\", and watch it with polariscope.watch(model)")


def _first_call(model, arguments, keywords):
    """Before a model's first forward pass. The hook takes itself away."""
    if calls.is_compiling():
        return
    _forget(model)
    ids = keywords.get("input_ids")
    if ids is None and arguments and isinstance(arguments[0], torch.Tensor) and not arguments[0].is_floating_point():
        ids = arguments[0]
    if not _configs(model) or ids is None or ids.dim() != 2 or ids.shape[1] < 2:
        return
    try:
        check(model, ids)
    except CannotCheck as reason:
        warnings.warn(str(reason), stacklevel=2)


def _forget(model):
    for module in model.modules():
        for key, hook in list(module._forward_pre_hooks.items()):
            if hook is _first_call:
                del module._forward_pre_hooks[key]
                module._forward_pre_hooks_with_kwargs.pop(key, None)


def at_first_call(model) -> None:
    """Has the model checked before its first forward pass, wherever it then is."""
    if _first_call not in model._forward_pre_hooks.values():
        model.register_forward_pre_hook(_first_call, with_kwargs=True)
