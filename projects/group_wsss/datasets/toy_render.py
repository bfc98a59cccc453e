# Copyright (c) group_wsss contributors. All rights reserved.
"""Images of the toy set: creatures with a telling head on a body."""
import colorsys
from typing import List, NamedTuple, Optional, Tuple

import numpy as np
from PIL import Image

NUM_CLASSES = 6
_TAU = 2 * np.pi
# degrees; a body's hue spreads by about 20 around that of its class
_HUES = 60.0 * np.arange(NUM_CLASSES) + 20.0
_IMAGE_HUE_JITTER = 14.0
_OBJECT_HUE_JITTER = 14.0
# degrees; direction of a body's texture relative to the image
_ANGLES = 30.0 * np.array([0, 3, 1, 4, 2, 5])
_ANGLE_JITTER = 12.0
_TRIES = 30


class Creature(NamedTuple):
    """Place and outline of one object; arrays are ``(S, S)``."""
    class_id: int
    body: np.ndarray  # signed distance in pixels, negative inside
    head: np.ndarray
    head_xy: Tuple[np.ndarray, np.ndarray]  # in units of the head's radius
    spot: Tuple[float, float, float]  # centre and radius of the body

    @property
    def mask(self) -> np.ndarray:
        """Bool ``(S, S)``."""
        return np.minimum(self.body, self.head) < 0


def _rgb(hue: float, saturation: float, value: float) -> np.ndarray:
    return np.array(colorsys.hsv_to_rgb(hue / 360.0 % 1.0, saturation, value))


def _noise(rng: np.random.Generator, size: int, cells_x: int,
           cells_y: int) -> np.ndarray:
    """Smooth noise in [0, 1], ``(size, size)``."""
    grid = rng.random((cells_y + 2, cells_x + 2)).astype(np.float32)
    image = Image.fromarray(grid).resize((size, size),
                                         Image.Resampling.BICUBIC)
    return np.clip(np.asarray(image, dtype=np.float64), 0, 1)


def _mix(first: np.ndarray, second: np.ndarray,
         share: np.ndarray) -> np.ndarray:
    return first + (second - first) * share[..., None]


def _render_background(rng: np.random.Generator, size: int, family: int,
                       x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Dull ground: clouds, bricks, grass, water, pebbles or weave."""
    unit = size / 96.0
    phase = rng.random(4)
    if family == 0:
        share = (0.6 * _noise(rng, size, 4, 3) + 0.4 * _noise(rng, size, 9, 7))
    elif family == 1:
        high, wide = rng.uniform(9, 13) * unit, rng.uniform(20, 28) * unit
        row = np.floor(y / high + phase[0])
        along = (x / wide + phase[1] + 0.5 * (row % 2)) % 1.0
        across = (y / high + phase[0]) % 1.0
        mortar = (across < 0.14) | (along < 0.07)
        column = np.floor(x / wide + phase[1] + 0.5 * (row % 2))
        tone = (row * 7.3 + column * 3.7 + phase[2] * 10) % 1.0
        share = np.where(mortar, 1.0, 0.15 + 0.35 * tone)
    elif family == 2:
        share = (0.7 * _noise(rng, size, 40, 7) +
                 0.3 * _noise(rng, size, 5, 4))
    elif family == 3:
        bend = 5 * unit * np.sin(_TAU * (x / (45 * unit) + phase[0]))
        wave = np.sin(_TAU * ((y + bend) / (rng.uniform(9, 13) * unit)))
        share = 0.5 + 0.3 * wave + 0.4 * (_noise(rng, size, 6, 6) - 0.5)
    elif family == 4:
        seeds = rng.random((45, 2)) * size
        far = np.stack([(x - sx)**2 + (y - sy)**2 for sx, sy in seeds])
        near = np.partition(far, 1, axis=0)[:2]
        gap = np.sqrt(near[1]) - np.sqrt(near[0])
        tone = (far.argmin(0) * 0.381966) % 1.0
        share = np.clip(gap / (3 * unit), 0, 1) * (0.35 + 0.5 * tone)
    else:
        pitch = rng.uniform(9, 14) * unit
        warp = np.sin(_TAU * (x / pitch + phase[0]))
        weft = np.sin(_TAU * (y / pitch + phase[1]))
        share = 0.5 + 0.22 * np.sign(warp) * np.abs(warp)**0.5
        share += 0.22 * np.sign(weft) * np.abs(weft)**0.5
    hue = (35, 15, 95, 205, 50, 300)[family] + rng.normal(0, 18)
    low, high = rng.uniform(0.28, 0.45), rng.uniform(0.55, 0.75)
    dark = _rgb(hue, rng.uniform(0.12, 0.32), low)
    light = _rgb(hue + rng.normal(0, 12), rng.uniform(0.05, 0.22), high)
    return _mix(dark, light, np.clip(share, 0, 1))


def shape_creature(rng: np.random.Generator, size: int, class_id: int,
                   scale: float, x: np.ndarray, y: np.ndarray,
                   centre: Optional[Tuple[float, float]]) -> Creature:
    """A lumpy body and a round head at one of its ends."""
    radius = size * scale * rng.uniform(0.17, 0.26)
    angle = rng.uniform(0, _TAU)
    stretch = rng.uniform(1.0, 1.3)
    head_radius = radius * rng.uniform(0.36, 0.42)
    if centre is None:
        centre = tuple(rng.uniform(0.14, 0.86, 2) * size)
    cx, cy = centre
    dx, dy = x - cx, y - cy
    along = (dx * np.cos(angle) + dy * np.sin(angle)) / stretch
    across = (-dx * np.sin(angle) + dy * np.cos(angle)) * np.sqrt(stretch)
    turn = np.arctan2(across, along)
    outline = np.ones_like(x)
    for order in (2, 3, 5):
        outline += (0.22 / order) * rng.normal() * np.cos(
            order * turn + rng.uniform(0, _TAU)) / np.sqrt(2)
    outline = np.clip(outline, 0.6, 1.4)
    body = np.hypot(along, across) - radius * outline
    reach = radius * stretch * 0.92
    hx, hy = cx + reach * np.cos(angle), cy + reach * np.sin(angle)
    head = np.hypot(x - hx, y - hy) - head_radius
    tilt = rng.normal(0, 0.15)
    u, v = (x - hx) / head_radius, (y - hy) / head_radius
    local = (u * np.cos(tilt) + v * np.sin(tilt),
             -u * np.sin(tilt) + v * np.cos(tilt))
    return Creature(class_id, body, head, local, (cx, cy, radius))


def _head_pattern(class_id: int, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """1 where the mark of the class is, ``u, v`` in head radii."""
    radius = np.hypot(u, v)
    if class_id == 0:  # ring
        mark = (radius < 0.25) | ((radius > 0.5) & (radius < 0.8))
    elif class_id == 1:  # cross
        mark = ((np.abs(u) < 0.24) | (np.abs(v) < 0.24)) & (radius < 0.85)
    elif class_id == 2:  # wedge
        mark = (v < 0.5) & (v > 2.0 * np.abs(u) - 0.75)
    elif class_id == 3:  # checker
        mark = (u * v > 0) & (radius < 0.85)
    elif class_id == 4:  # dots
        mark = np.hypot(np.abs(u) - 0.4, np.abs(v) - 0.4) < 0.27
    else:  # bars
        mark = (np.abs((v * 1.6) % 1.0 - 0.5) < 0.25) & (radius < 0.85)
    return mark.astype(np.float64)


def _paint_creature(rng: np.random.Generator, image: np.ndarray,
                    thing: Creature, hue_shift: float, x: np.ndarray,
                    y: np.ndarray) -> np.ndarray:
    """Lay a creature over the image.

    The body's hue and the direction of its texture tell the class only
    across many images; the mark and colour of the head tell it at once.
    """
    size = image.shape[0]
    cls = thing.class_id
    hue = _HUES[cls] + hue_shift + rng.normal(0, _OBJECT_HUE_JITTER)
    angle = np.deg2rad(_ANGLES[cls] + rng.normal(0, _ANGLE_JITTER))
    pitch = rng.uniform(4.5, 7.5) * size / 96.0
    u = (x * np.cos(angle) + y * np.sin(angle)) / pitch + rng.random()
    v = (-x * np.sin(angle) + y * np.cos(angle)) / pitch + rng.random()
    # the kind of texture is shared by all classes
    kind = rng.integers(3)
    if kind == 0:
        share = 0.5 + 0.5 * np.sin(_TAU * v)
    elif kind == 1:
        share = 0.5 + 0.5 * np.sin(_TAU * v) * np.cos(_TAU * u / 2.4)
    else:
        share = 0.5 + 0.5 * np.sin(_TAU * (v + 0.2 * np.sin(_TAU * u / 2)))
    saturation, value = rng.uniform(0.4, 0.75), rng.uniform(0.55, 0.9)
    dark = _rgb(hue, saturation, value * rng.uniform(0.45, 0.7))
    light = _rgb(hue + rng.normal(0, 8), saturation * 0.75, value)
    color = _mix(dark, light, share)
    # light from above gives the body volume
    cx, cy, radius = thing.spot
    shade = 1.0 - 0.22 * np.clip((y - cy) / radius, -1, 1)
    rim = np.clip(1.0 + thing.body / (0.18 * radius), 0, 1)
    color = color * (shade * (1 - 0.35 * rim))[..., None]
    alpha = np.clip(0.5 - thing.body, 0, 1)
    image = _mix(image, np.clip(color, 0, 1), alpha)

    accent = _rgb(_HUES[cls] + 150 + rng.normal(0, 6), 0.9,
                  rng.uniform(0.75, 0.95))
    plain = np.full(3, rng.uniform(0.9, 1.0))
    face = _mix(plain, accent, _head_pattern(cls, *thing.head_xy))
    edge = np.clip(thing.head + 1.5, 0, 1)
    face = face * (1 - 0.75 * edge)[..., None]
    return _mix(image, face, np.clip(0.5 - thing.head, 0, 1))


def _classes_of_image(rng: np.random.Generator, first: int) -> List[int]:
    """One to four objects; classes 0-1, 2-3 and 4-5 like company."""
    count = rng.choice(4, p=(0.25, 0.35, 0.25, 0.15)) + 1
    classes = [first]
    while len(classes) < count:
        coin = rng.random()
        if coin < 0.35:
            classes.append(first)
        elif coin < 0.7:
            classes.append(first ^ 1)
        else:
            classes.append(int(rng.integers(NUM_CLASSES)))
    return classes


def render(rng: np.random.Generator, size: int,
           first: int) -> Tuple[np.ndarray, np.ndarray]:
    """Render one image with its mask.

    Args:
        rng (np.random.Generator): Source of all variation.
        size (int): Side ``S`` in pixels.
        first (int): Class that is certainly in the image.

    Returns:
        tuple[np.ndarray, np.ndarray]: RGB uint8 ``(S, S, 3)`` and mask
        uint8 ``(S, S)``, 0 background, class id + 1 else.
    """
    y, x = np.mgrid[:size, :size].astype(np.float64) + 0.5
    # the ground hints at the first class, which invites co-occurrence
    family = first if rng.random() < 0.45 else int(rng.integers(NUM_CLASSES))
    image = _render_background(rng, size, family, x, y)
    mask = np.zeros((size, size), np.uint8)
    hue_shift = rng.normal(0, _IMAGE_HUE_JITTER)
    classes = _classes_of_image(rng, first)
    scale = (1.15, 1.0, 0.9, 0.82)[len(classes) - 1]
    placed: List[Creature] = []
    for class_id in classes:
        thing = _place(rng, size, class_id, scale, x, y, placed)
        if thing is None:
            continue
        placed.append(thing)
        image = _paint_creature(rng, image, thing, hue_shift, x, y)
        mask[thing.mask] = class_id + 1
    gain = rng.uniform(0.85, 1.12)
    image = image * gain + rng.normal(0, 0.018, image.shape)
    return (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8), mask


def _place(rng: np.random.Generator, size: int, class_id: int, scale: float,
           x: np.ndarray, y: np.ndarray,
           placed: List[Creature]) -> Optional[Creature]:
    """A spot that hides no head and little of any body, None if full."""
    for _ in range(_TRIES):
        thing = shape_creature(rng, size, class_id, scale, x, y, None)
        head = thing.head < 0
        # the whole head is in the image
        if (head[0].any() or head[-1].any() or head[:, 0].any()
                or head[:, -1].any() or not head.any()):
            continue
        new = thing.mask
        if any(
            (new & (other.head < 1)).any() or (new & other.mask).sum() > 0.25 *
                other.mask.sum() for other in placed):
            continue
        return thing
    if placed:
        return None
    return shape_creature(rng, size, class_id, scale, x, y,
                          (size / 2, size / 2))
