# Copyright (c) group_wsss contributors. All rights reserved.
"""Text tower of CLIP through transformers."""
import os.path as osp
from typing import Any, Dict, Sequence

import numpy as np

from ...utils.errors import InputError, one_line

INSTALL = 'pip install transformers'
_WEIGHTS = ('model.safetensors', 'pytorch_model.bin')


class ClipText:
    """Texts in, features out.

    Args:
        folder (str): A CLIP as transformers saves it: ``config.json``, the
            files of its tokenizer, ``model.safetensors`` or
            ``pytorch_model.bin``. Nothing is downloaded.

    Attributes:
        model (dict): ``name`` of the folder, ``fingerprint`` of the image
            projection, version of ``transformers``.

    Raises:
        InputError: transformers is not installed, or no such model.
    """

    def __init__(self, folder: str) -> None:
        if not any(osp.isfile(osp.join(folder, name)) for name in _WEIGHTS):
            raise InputError(
                f'{osp.join(folder, _WEIGHTS[0])}: no such file: give the '
                'folder of a CLIP as transformers saves it')
        try:
            import transformers
        except ImportError:
            raise InputError(
                f'transformers is not installed: {INSTALL}') from None
        from .clip_weights import fingerprint
        transformers.logging.set_verbosity_error()
        transformers.logging.disable_progress_bar()
        try:
            net, tokenizer = (
                kind.from_pretrained(folder, local_files_only=True)
                for kind in (transformers.CLIPModel,
                             transformers.CLIPTokenizer))
        except Exception as error:  # anything, on a folder of something else
            raise InputError(
                f'{folder}: transformers {transformers.__version__} cannot '
                f'load it as a CLIP: {one_line(error)}') from None
        self.net: Any = net.eval()
        self.tokenizer: Any = tokenizer
        self.model: Dict[str, Any] = dict(
            name=osp.basename(osp.abspath(folder)),
            fingerprint=fingerprint(net.visual_projection.weight),
            transformers=transformers.__version__)

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """Features of texts.

        Args:
            texts (Sequence[str]): In any number.

        Returns:
            np.ndarray: float32 ``(n, D)``, not normalised.

        Raises:
            InputError: A text is longer than the model reads.
        """
        import torch
        longest = self.net.config.text_config.max_position_embeddings
        for text in texts:
            if len(self.tokenizer(text)['input_ids']) > longest:
                raise InputError(f'{text!r}: longer than the {longest} tokens '
                                 'that the model reads')
        tokens = self.tokenizer(list(texts), padding=True, return_tensors='pt')
        with torch.no_grad():
            # what get_text_features gives depends on the version
            pooled = self.net.text_model(
                input_ids=tokens['input_ids'],
                attention_mask=tokens['attention_mask']).pooler_output
            return self.net.text_projection(pooled).float().numpy()
