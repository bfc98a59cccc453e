# Copyright (c) group_wsss contributors. All rights reserved.
"""Masks as Label Studio's brush stores them.

A string of bits, eight in each number: how many values there are (32 bits),
bits of a value - 1 (5), four sizes of a count - 1 (4 each); then blocks: 1
for a run or 0 for values one by one, which of the sizes (2), count - 1, the
value or values. Values are those of RGBA pixels, row by row. The format is
that of https://github.com/thi-ng/umbrella (rle-pack).
"""
from typing import List, Sequence, Tuple

import numpy as np

from ..utils.errors import InputError

_VALUE_BITS = 8
_COUNT_BITS = (3, 4, 8, 16)
_CHANNELS = 4


def encode_brush(mask: np.ndarray) -> List[int]:
    """Pack a mask.

    Args:
        mask (np.ndarray): bool ``(H, W)``.

    Returns:
        list[int]: Bytes, what ``value.rle`` holds.
    """
    flat = mask.reshape(-1)
    ends = np.append(np.flatnonzero(flat[1:] != flat[:-1]) + 1, flat.size)
    bits = [
        f'{_CHANNELS * flat.size:032b}{_VALUE_BITS - 1:05b}',
        *(f'{size - 1:04b}' for size in _COUNT_BITS)
    ]
    start = 0
    for end in ends.tolist():
        value = 255 if flat[start] else 0
        left = _CHANNELS * (end - start)
        while left:
            count = min(left, 2**_COUNT_BITS[-1])
            place = next(i for i, size in enumerate(_COUNT_BITS)
                         if count <= 2**size)
            bits.append(f'1{place:02b}{count - 1:0{_COUNT_BITS[place]}b}'
                        f'{value:0{_VALUE_BITS}b}')
            left -= count
        start = end
    text = ''.join(bits)
    text += '0' * (-len(text) % 8)
    return list(int(text, 2).to_bytes(len(text) // 8, 'big'))


def decode_brush(packed: Sequence[int], size: Tuple[int, int]) -> np.ndarray:
    """Unpack a mask.

    Args:
        packed (Sequence[int]): What ``value.rle`` holds.
        size (tuple[int, int]): Height and width of the image.

    Returns:
        np.ndarray: bool ``(H, W)``: where the last of the four channels is
        not 0.

    Raises:
        InputError: These are no such bytes, or of an image of another size.
    """
    try:
        data = bytes(packed)
    except (TypeError, ValueError):
        raise InputError("'rle' is no list of bytes") from None
    text = ''.join(f'{byte:08b}' for byte in data)
    place = 0

    def read(bits: int) -> int:
        nonlocal place
        part = text[place:place + bits]
        if len(part) < bits:
            raise InputError("'rle' ends too early")
        place += bits
        return int(part, 2)

    total, value_bits = read(32), read(5) + 1
    counts = [read(4) + 1 for _ in range(4)]
    if total != _CHANNELS * size[0] * size[1]:
        raise InputError(f"'rle' has {total} values, an image of {size[0]} x "
                         f'{size[1]} pixels has {_CHANNELS} times as many')
    values = np.zeros(total, np.uint32)
    done = 0
    while done < total:
        run = read(1)
        end = done + 1 + read(counts[read(2)])
        if end > total:
            raise InputError("'rle' has more values than it says")
        if run:
            values[done:end] = read(value_bits)
        else:
            values[done:end] = [read(value_bits) for _ in range(done, end)]
        done = end
    return values.reshape(*size, _CHANNELS)[..., -1] > 0
