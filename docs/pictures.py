#!/usr/bin/env python3
"""usage: docs/pictures.py DIR   Renews the README's pictures (docs/pictures) from the screenshots of the browser tests:
build/dev/tests/browser after `./demo test browser`. Needs python3-pil."""

import pathlib
import sys

from PIL import Image

WIDTH = 1000
# name: the tests' screenshot, and how much of its height is of interest
PICTURES = {"home": ("home-flow", 0.53), "shop": ("shop-order", 1), "ratings": ("ratings", 1), "rides": ("rides-rider-trip", 1),
            "story": ("lens-story", 1), "tape": ("lens-aborted", 1)}

out = pathlib.Path(__file__).parent / "pictures"
out.mkdir(exist_ok=True)
for name, (shot, part) in PICTURES.items():
    picture = Image.open(pathlib.Path(sys.argv[1], f"{shot}.png")).convert("RGB")
    picture = picture.crop((0, 0, picture.width, round(picture.height * part)))
    picture = picture.resize((WIDTH, round(picture.height * WIDTH / picture.width)), Image.LANCZOS)
    picture.quantize(128, dither=Image.Dither.NONE).save(out / f"{name}.png", optimize=True)
