# Copyright (c) group_wsss contributors. All rights reserved.
"""Networks of both stages as ONNX graphs."""
import inspect
import io
import warnings
from contextlib import contextmanager
from typing import Any, Dict, Iterator, Optional, Tuple

import torch
import torch.nn as nn
from mmengine.utils import digit_version
from mmpretrain.structures import DataSample
from torch import Tensor
from torch.onnx import (register_custom_op_symbolic, symbolic_helper,
                        unregister_custom_op_symbolic)

from ...models import FeatureCache, GroupCAM
from ...utils.errors import InputError


class NetworkGraph(nn.Module):
    """A network as a function of plain pixels: what both graphs share.

    Args:
        net (nn.Module): With the data preprocessor of mmpretrain or mmseg.

    Attributes:
        outputs (tuple[str]): Names of what ``forward`` gives.
        group_size (int): Images of a call.
    """

    net: Any
    outputs: Tuple[str, ...]
    group_size = 1

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        self.eval()
        prepare = net.data_preprocessor
        # images are loaded as BGR; what is not turned stays so
        self.wants_rgb = bool(
            getattr(prepare, 'to_rgb', False)
            or getattr(prepare, '_channel_conversion', False)
            # of stock mmseg
            or getattr(prepare, 'channel_conversion', False))
        self.normalise = bool(getattr(prepare, '_enable_normalize', False))

    def prepare(self, image: Tensor) -> Tensor:
        """RGB 0..255 ``(B, 3, H, W)`` to the input of the backbone."""
        if not self.wants_rgb:
            image = image.flip(1)
        if self.normalise:
            prepare = self.net.data_preprocessor
            image = (image - prepare.mean) / prepare.std
        return image

    def expected(self, image: Tensor) -> Tuple[Tensor, ...]:
        """Outputs of the network in its usual way, for a comparison."""
        raise NotImplementedError


class ClassMapGraph(NetworkGraph):
    """Stage 1 as one function of the pixels of a group.

    Input ``image``: float32 RGB in 0..255, ``(K, 3, H, W)``, the anchor
    first. Outputs, for the anchor alone: ``scores`` ``(1, C)``, the
    probability of each class, and ``class_maps`` ``(1, C, h, w)`` of all
    classes, as ``GroupCAM.predict`` gives those of the tags: not negative,
    not normalised.

    Args:
        net (GroupCAM): The network.
        group_size (int): K. Defaults to 1, an image alone.

    Raises:
        InputError: Maps that are refined among the tags, which a graph
            without tags cannot give.
    """

    outputs = ('scores', 'class_maps')

    def __init__(self, net: GroupCAM, group_size: int = 1) -> None:
        super().__init__(net)
        if getattr(getattr(net, 'equivariance', None), 'refine', False):
            raise InputError('model.equivariance.refine depends on the tags: '
                             'export with refine=False')
        if group_size < 1:
            raise InputError(f'group_size is {group_size}, must be >= 1')
        self.group_size = group_size

    def _slots(self) -> list:
        return [
            DataSample(metainfo=dict(group_slot=i))
            for i in range(self.group_size)
        ]

    def forward(self, image: Tensor) -> Tuple[Tensor, Tensor]:
        """See the class."""
        net, head = self.net, self.net.head
        feats = net.extract_feat(
            self.prepare(image), self._slots(), anchors_only=True)
        found = [
            branch._replace(feat=branch.feat[:1], logits=branch.logits[:1])
            for branch in head.branches(feats)
        ]
        place = 0 if head.map_source == 'cam' else -1
        shown = head.shown_maps(found[place])
        if head.map_source == 'mean' and len(found) > 1:
            shown = (head.shown_maps(found[0]) + shown) / 2
        return head.pool(found[-1].logits).sigmoid(), shown.relu()

    def expected(self, image: Tensor) -> Tuple[Tensor, ...]:
        """The same by ``GroupCAM.test_step``, with all classes as tags."""
        ids = torch.arange(self.net.head.num_classes)
        samples = [slot.set_gt_label(ids) for slot in self._slots()]
        sample = self.net.test_step(
            dict(inputs=list(image.flip(1)), data_samples=samples))[0]
        return sample.pred_score[None], sample.class_maps[None]


class LogitGraph(NetworkGraph):
    """Stage 2, or any other mmseg segmentor, as a function of the pixels.

    Input ``image``: float32 RGB in 0..255, ``(1, 3, H, W)``. Output
    ``logits``: ``(1, C, H, W)``; the label is their argmax. An image is
    seen as a whole, whatever ``test_cfg.mode`` says.

    Args:
        net (nn.Module): A segmentor with ``encode_decode``.

    Raises:
        InputError: It is none.
    """

    outputs = ('logits', )

    def __init__(self, net: nn.Module) -> None:
        if not hasattr(net, 'encode_decode'):
            raise InputError(f'{type(net).__name__} is no segmentor of mmseg')
        super().__init__(net)

    def forward(self, image: Tensor) -> Tuple[Tensor, ...]:
        """See the class."""
        image = self.prepare(image)
        meta = dict(img_shape=image.shape[2:])
        return (self.net.encode_decode(image, [meta]), )

    def expected(self, image: Tensor) -> Tuple[Tensor, ...]:
        """The same behind the network's own preparation."""
        data = self.net.data_preprocessor(dict(inputs=list(image.flip(1))))
        inputs = data['inputs']
        size = tuple(int(side) for side in inputs.shape[2:])
        return (self.net.encode_decode(inputs, [dict(img_shape=size)]), )


@contextmanager
def _without_cache(net: nn.Module) -> Iterator[None]:
    """Put the backbone itself in the place of one that remembers maps."""
    backbone = getattr(net, 'backbone', None)
    if isinstance(backbone, FeatureCache):
        net.backbone = backbone.backbone
    try:
        yield
    finally:
        if isinstance(backbone, FeatureCache):
            net.backbone = backbone


def _unflatten(g: Any, x: Any, dim: Any, sizes: Any) -> Any:
    """``Tensor.unflatten`` that keeps sizes open.

    torch's own translation falls back on the sizes of the example, because
    its shape inference cannot follow.
    """
    rank: Any = symbolic_helper._get_tensor_rank(x)
    dim = symbolic_helper._get_const(dim, 'i', 'dim') % rank

    def part(start: int, end: int) -> Any:
        bounds = (
            g.op('Constant', value_t=torch.tensor([place]))
            for place in (start, end))
        return g.op('Slice', g.op('Shape', x), *bounds)

    shape = g.op('Concat', part(0, dim), sizes, part(dim + 1, rank), axis_i=0)
    out = g.op('Reshape', x, shape)
    # no example's sizes: whatever inference finds is found by name
    return out.setType(x.type().with_sizes([None] * (rank + 1)))


def _attention(g: Any, *args: Any) -> Any:
    """Attention whose scale is a number, which torch 2.1 takes for a node."""
    from torch.onnx import symbolic_opset14
    scale = symbolic_helper._maybe_get_const(args[-1], 'f')
    if isinstance(scale, float):
        node = g.op('Constant', value_t=torch.tensor(scale))
        # not seen through, as a constant would be
        args = (*args[:-1], g.op('Identity', node))
    return symbolic_opset14.scaled_dot_product_attention(g, *args)


@contextmanager
def _translations(opset: int) -> Iterator[None]:
    """Let torch translate by the functions above."""
    functions: Dict[str, Any] = {'aten::unflatten': _unflatten}
    if digit_version(torch.__version__) < digit_version('2.5'):
        functions['aten::scaled_dot_product_attention'] = _attention
    for name, function in functions.items():
        register_custom_op_symbolic(name, function, opset)
    try:
        yield
    finally:
        for name in functions:
            unregister_custom_op_symbolic(name, opset)


def export_onnx(graph: NetworkGraph,
                size: Tuple[int, int],
                dynamic: bool = False,
                opset: int = 17,
                metadata: Optional[Dict[str, str]] = None) -> bytes:
    """Translate a network.

    Args:
        graph (ClassMapGraph | LogitGraph): On the CPU.
        size (tuple[int, int]): Height and width of the images.
        dynamic (bool): Leave height and width open; ``size`` is then an
            example. Defaults to False.
        opset (int): Version of ONNX's operators, at least 14. Defaults to
            17.
        metadata (dict[str, str], optional): Put into the file.

    Returns:
        bytes: A file of ONNX.

    Raises:
        InputError: onnx is not installed, or an operator has no
            translation.
    """
    try:
        import onnx
    except ImportError:
        raise InputError('onnx is not installed: pip install onnx') from None
    image = torch.rand(graph.group_size, 3, *size) * 255
    axes = {'image': {2: 'height', 3: 'width'}}
    last = graph.outputs[-1]
    small = 'map_' if last == 'class_maps' else ''
    axes[last] = {2: f'{small}height', 3: f'{small}width'}
    options: Dict[str, Any] = {}
    if 'dynamo' in inspect.signature(torch.onnx.export).parameters:
        # the exporter that all torch versions have, and that needs no more
        # packages
        options['dynamo'] = False
    buffer = io.BytesIO()
    try:
        # tracing warns of every comparison of sizes
        with torch.no_grad(), warnings.catch_warnings(), _without_cache(
                graph.net), _translations(opset):
            warnings.simplefilter('ignore')
            graph(image)  # whatever is wrong with it shows by its own message
            torch.onnx.export(
                graph,
                (image, ),
                buffer,  # type: ignore[arg-type]
                input_names=['image'],
                output_names=list(graph.outputs),
                dynamic_axes=axes if dynamic else None,
                opset_version=opset,
                **options)
    except (torch.onnx.errors.OnnxExporterError, RuntimeError) as error:
        first = (str(error).strip().splitlines() or [''])[0]
        raise InputError(f'{type(graph.net).__name__} cannot be exported: '
                         f'{first}') from error
    model = onnx.load_from_string(buffer.getvalue())
    onnx.helper.set_model_props(model, dict(metadata or {}))
    return model.SerializeToString()
