#!/usr/bin/env python3
"""samples.py FOLDER: PyTorch's own test samples of the operations that Ballast has, for run_samples.

Writes FOLDER/samples.safetensors (inputs, a random gradient of the result, and what PyTorch computes in double: the result and the
gradients of the inputs) and FOLDER/samples.json, and prints how many samples use an option that Ballast doesn't have. Needs torch, safetensors, numpy,
expecttest and hypothesis from PyPI.
"""
import collections, json, pathlib, sys

import torch
from safetensors.torch import save_file
from torch.testing._internal.common_methods_invocations import op_db
from torch.utils._pytree import tree_map


class No(Exception):
    """An option that Ballast doesn't have."""


def need(condition, what):
    if not condition: raise No(what)


def pair(value, sizes=2):
    value = list(value) if isinstance(value, (list, tuple)) else [value] * sizes
    if len(value) == 1: value = value * sizes
    need(len(value) == sizes, 'sizes')
    return [1 if sizes == 1 else value[0], value[-1]] if sizes == 2 else value


def case(op, tensors, labels=(), **options):
    return op, [t for t in tensors if t is not None], [t is not None for t in tensors], list(labels), options


def unary(op): return lambda x: case(op, [x])
def binary(op): return lambda x, y, alpha=1, rounding_mode=None: (need(torch.is_tensor(y), 'a number as operand'), need(alpha == 1, 'alpha'), need(rounding_mode is None, 'rounding_mode'), case(op, [x, y]))[-1]


def reduction(op, **fixed):
    def express(x, dim=None, keepdim=False, dtype=None, **more):
        need(not any(v is not None for k, v in more.items() if k != 'correction'), 'unbiased')
        need(dtype is None, 'dtype')
        need(isinstance(more.get('correction', 1), (int, type(None))), 'a correction that is not whole')
        axes = list(dim) if isinstance(dim, (list, tuple)) else [] if dim is None else [dim]
        need(not (x.dim() == 0 and axes), 'an axis of a scalar')
        need(axes or not keepdim, 'keepdim without axes')
        return case(op, [x], axes=axes, keep=keepdim, **({'correction': more['correction']} if more.get('correction') is not None else {}))
    return express


def pool(op):
    def express(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False, count_include_pad=True, divisor_override=None):
        need(x.dim() == 4, '3 axes'), need(pair(dilation) == [1, 1], 'dilation'), need(divisor_override is None, 'divisor_override')
        return case(op, [x], window=pair(kernel_size), stride=pair(stride or kernel_size), padding=pair(padding), ceil_mode=ceil_mode, include=count_include_pad)
    return express
def average(x, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None):
    return pool('avg_pool2d')(x, kernel_size, stride, padding, 1, ceil_mode, False, count_include_pad, divisor_override)


def conv(op):
    def express(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
        need(x.dim() == weight.dim(), 'no batch axis'), need(not isinstance(padding, str), 'padding by a word'), need(x.dtype != torch.complex128, 'complex')
        n = x.dim() - 2
        return case(op, [x, weight, bias], stride=pair(stride, n), padding=pair(padding, n), dilation=pair(dilation, n), groups=groups)
    return express
def transposed(x, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    need(x.dim() == 4, 'no batch axis'), need(all(o < t for o, t in zip(pair(output_padding), pair(stride))), 'output_padding of the stride or more')
    return case('conv_transpose2d', [x, weight, bias], stride=pair(stride), padding=pair(padding), output_padding=pair(output_padding), dilation=pair(dilation), groups=groups)


def cross_entropy(x, target, weight=None, size_average=None, ignore_index=-100, reduce=None, reduction='mean', label_smoothing=0.0):
    need(x.dim() >= 2, 'no batch axis')
    if target.is_floating_point():
        need(x.dim() == 2, 'probabilities per position'), need(weight is None, 'class weights beside probabilities')
        return case('soft_cross_entropy', [x, target], smoothing=label_smoothing, reduction=reduction)
    return case('cross_entropy', [x, weight], [target], smoothing=label_smoothing, ignore=ignore_index, reduction=reduction)
def nll(x, target, weight=None, ignore_index=-100, reduction='mean'):
    need(x.dim() >= 2, 'no batch axis')
    return case('nll_loss', [x, weight], [target], ignore=ignore_index, reduction=reduction)
def loss(op, **kinds):
    def express(x, target, reduction='mean', weight=None, log_target=False, delta=1.0, pos_weight=None):
        need(weight is None and pos_weight is None, 'weight'), need(not log_target, 'log_target'), need(reduction != 'batchmean', 'batchmean'), need(x.shape == target.shape, 'broadcasting')
        return case(op, [x, target], reduction=reduction, delta=delta)
    return express


def narrow(x, dim, start, length):
    if torch.is_tensor(start): start = int(start)
    return case('slice', [x], axis=dim, begin=start, end=(start if start >= 0 else start + x.shape[dim]) + length)
def clamp(x, min=None, max=None):
    need(not torch.is_tensor(min) and not torch.is_tensor(max), 'limits of tensors')
    return case('clamp', [x], low=float('-inf') if min is None else float(min), high=float('inf') if max is None else float(max))
def power(x, exponent):
    need(not torch.is_tensor(exponent), 'exponents of a tensor'), need(torch.is_tensor(x), 'a number as base')
    return case('pow', [x], exponent=float(exponent))
def pad(x, sizes, mode='constant', value=0):
    need(mode == 'constant', 'mode')
    need(all(s >= 0 for s in sizes), 'negative sizes')
    return case('pad', [x], sizes=list(sizes), value=float(value or 0))
def join(op):
    def express(parts, dim=0):
        need(len({p.dim() for p in parts}) == 1, 'the old rule for (0)')
        return case(op, list(parts), axis=dim)
    return express
def batch_norm(x, mean, var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    need((weight is None) == (bias is None), 'a bias without a weight'), need(0 <= momentum <= 1, 'a momentum beyond 0 to 1'), need(x.dim() > 1, 'no batch axis')
    return case('batch_norm', [x, mean, var, weight, bias], training=training, momentum=momentum, eps=eps)
def instance_norm(x, running_mean=None, running_var=None, weight=None, bias=None, use_input_stats=True, momentum=0.1, eps=1e-5):
    need(use_input_stats, 'running statistics in evaluation')
    return case('instance_norm', [x, weight, bias], eps=eps)


ops = {
    **{op: unary(name) for op, name in (('nn.functional.relu', 'relu'), ('sigmoid', 'sigmoid'), ('tanh', 'tanh'), ('neg', 'neg'), ('exp', 'exp'), ('expm1', 'expm1'), ('log', 'log'),
       ('log1p', 'log1p'), ('sqrt', 'sqrt'), ('erf', 'erf'), ('abs', 'abs'))},
    'nn.functional.silu': lambda x, inplace=False: case('silu', [x]),
    'nn.functional.leaky_relu': lambda x, negative_slope=0.01, inplace=False: case('leaky_relu', [x], slope=negative_slope),
    'nn.functional.elu': lambda x, alpha=1.0, inplace=False: case('elu', [x], alpha=alpha),
    'nn.functional.softplus': lambda x, beta=1, threshold=20: case('softplus', [x], beta=beta, threshold=threshold),
    'nn.functional.gelu': lambda x, approximate='none': case('gelu', [x], tanh=approximate == 'tanh'),
    'softmax': lambda x, dim, dtype=None: (need(x.dim() > 0, 'a scalar'), need(dtype is None, 'dtype'), case('softmax', [x], axis=dim))[-1],
    'log_softmax': lambda x, dim, dtype=None: (need(x.dim() > 0, 'a scalar'), need(dtype is None, 'dtype'), case('log_softmax', [x], axis=dim))[-1],
    **{op: binary(op) for op in ('add', 'sub', 'mul', 'div', 'maximum', 'minimum', 'lt', 'le', 'gt', 'ge', 'eq', 'ne')},
    'pow': power, 'clamp': clamp,
    'where': lambda x, condition, y: case('where', [condition, x, y]),
    'matmul': lambda a, b: (need(a.dim() >= 2 and b.dim() >= 2, 'vectors'), case('matmul', [a, b]))[-1],
    'mm': lambda a, b: case('matmul', [a, b]), 'bmm': lambda a, b: case('matmul', [a, b]),
    'nn.functional.linear': lambda x, w, b=None: (need(w.dim() == 2 and x.dim() >= 2, 'vectors'), case('linear', [x, w, b]))[-1],
    'nn.functional.conv1d': conv('conv1d'), 'nn.functional.conv2d': conv('conv2d'), 'nn.functional.conv_transpose2d': transposed,
    'nn.functional.max_pool2d': pool('max_pool2d'), 'nn.functional.avg_pool2d': average,
    'nn.functional.adaptive_avg_pool2d': lambda x, size: (need(x.dim() == 4, '3 axes'), need(isinstance(size, int) or None not in size, 'None as size'), case('adaptive_avg_pool2d', [x], size=pair(size)))[-1],
    'nn.functional.cross_entropy': cross_entropy, 'nn.functional.nll_loss': nll,
    'nn.functional.binary_cross_entropy_with_logits': loss('bce'), 'nn.functional.mse_loss': loss('mse'), 'nn.functional.l1_loss': loss('l1'),
    'nn.functional.huber_loss': loss('huber'), 'nn.functional.kl_div': loss('kl_div'),
    'reshape': lambda x, sizes: case('reshape', [x], sizes=list(sizes)),
    'flatten': lambda x, start_dim=0, end_dim=-1: (need(x.dim() > 0 and end_dim in (-1, x.dim() - 1), 'end_dim'), case('flatten', [x], axis=start_dim))[-1],
    'permute': lambda x, dims: (need(x.dim() > 0, 'a scalar'), case('permute', [x], order=list(dims)))[-1],
    'transpose': lambda x, a, b: (need(x.dim() > 0, 'a scalar'), case('transpose', [x], a=a, b=b))[-1],
    'narrow': narrow, 'cat': join('cat'), 'stack': join('stack'), 'nn.functional.pad': pad,
    'split': lambda x, size, dim=0: (need(isinstance(size, int), 'a list of sizes'), case('split', [x], size=size, axis=dim))[-1],
    'index_select': lambda x, dim, index: (need(x.dim() > 0 and index.dim() == 1, 'a scalar'), case('gather', [x], [index], axis=dim))[-1],
    'nn.functional.embedding': lambda index, weight, **more: (need(not any(more.values()) and index.dim() == 1, 'options'), case('gather', [weight], [index], axis=0))[-1],
    'nn.functional.batch_norm': batch_norm, 'nn.functional.instance_norm': instance_norm,
    'nn.functional.layer_norm': lambda x, shape, weight=None, bias=None, eps=1e-5: (need((weight is None) == (bias is None), 'a bias without a weight'), need(eps > 0, 'eps below 0'), need(x.shape[-len(shape):].numel() != 1, 'a norm over one value'), case('layer_norm', [x, weight, bias], axes=len(shape), eps=eps))[-1],
    'nn.functional.group_norm': lambda x, groups, weight=None, bias=None, eps=1e-5: (need((weight is None) == (bias is None), 'a bias without a weight'), need(eps > 0, 'eps below 0'), case('group_norm', [x, weight, bias], groups=groups, eps=eps))[-1],
    'nn.functional.rms_norm': lambda x, shape, weight=None, eps=None: (need(eps is None or eps > 0, 'eps below 0'), need(x.shape[-len(shape):].numel() != 1, 'a norm over one value'), case('rms_norm', [x, weight], axes=len(shape), eps=eps))[-1],
    'sum': reduction('sum'), 'mean': reduction('mean'), 'amax': reduction('max'), 'amin': reduction('min'), 'var': reduction('var'),
}


def main(folder):
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    tensors, cases, refused = {}, [], collections.Counter()
    for info in op_db:
        if info.name not in ops or (info.variant_test_name and info.variant_test_name not in ('constant', 'no_rounding_mode')): continue
        for sample in info.sample_inputs('cpu', torch.float64, requires_grad=False):
            def leaf(x):
                if not torch.is_tensor(x): return x
                if not x.is_floating_point(): return x
                return x.detach().float().double().clone().requires_grad_()  # float holds the same number
            first, args, kwargs = tree_map(leaf, (sample.input, sample.args, sample.kwargs))
            constant = {'running_mean', 'running_var'} | ({'weight'} if 'entropy' in info.name or 'loss' in info.name else set())
            kwargs = {k: (v.detach().abs() if k == 'weight' else v.detach()) if k in constant and torch.is_tensor(v) else v for k, v in kwargs.items()}
            if info.name == 'nn.functional.batch_norm': args = tuple(a.detach() if i < 2 and a is not None else a for i, a in enumerate(args))
            if info.name == 'where': first, args = args[0], (first,) + tuple(args[1:])
            try:
                op, inputs, present, labels, options = ops[info.name](*((args[0], first) + tuple(args[1:]) if info.name == 'where' else (first, *args)), **kwargs)
            except (No, TypeError) as reason:
                refused[f'{info.name}: {reason}'] += 1
                continue
            y = torch.where(first, *args) if info.name == 'where' else info.op(first, *args, **kwargs)
            y = y[0] if isinstance(y, (tuple, list)) else y
            number = f'{len(cases):05}'
            dy = torch.randn(y.shape, dtype=torch.float64).float().double()
            differentiable = y.requires_grad and y.is_floating_point()
            wanted = [i for i, t in enumerate(inputs) if t.requires_grad] if differentiable else []
            grads = torch.autograd.grad(y, [inputs[i] for i in wanted], dy, allow_unused=True) if wanted else []
            for i, t in enumerate(inputs): tensors[f'{number}.x{i}'] = t.detach().double().contiguous()
            for i, t in enumerate(labels): tensors[f'{number}.labels{i}'] = t.reshape(-1).contiguous().clone()
            tensors[f'{number}.y'], tensors[f'{number}.dy'] = y.detach().double().contiguous(), dy
            for i, g in zip(wanted, grads):
                if g is not None: tensors[f'{number}.g{i}'] = g.contiguous()
            cases.append({'op': op, 'name': info.name, 'inputs': len(inputs), 'present': present, 'labels': [list(t.shape) for t in labels], 'options': options})
    save_file({k: v.clone() for k, v in tensors.items()}, folder / 'samples.safetensors')
    (folder / 'samples.json').write_text(json.dumps(cases).replace('-Infinity', '-1e400').replace('Infinity', '1e400'))
    print(f'{len(cases)} samples; {sum(refused.values())} use what Ballast does not have:')
    for reason, count in sorted(refused.items()): print(f'  {count:5} {reason}')


main(pathlib.Path(sys.argv[1]))
