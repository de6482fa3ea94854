#!/usr/bin/env python3
"""Draws the rows of results.json whose peers are other libraries: how many times as fast ours is.

usage: chart.py RESULTS_JSON OUTPUT_SVG
"""
import json
import math
import pathlib
import sys
from xml.sax.saxutils import escape

LEFT, WIDTH, ROW = 300, 420, 24
MOST = 64  # a bar of this ratio fills the width; the scale is logarithmic, 1 at a third of it


def x_of(ratio):
    return LEFT + WIDTH * (1 / 3 + math.log2(min(max(ratio, 1 / 8), MOST)) / 9)


def main():
    results = json.loads(pathlib.Path(sys.argv[1]).read_text())
    rows = [r for r in results["rows"] if r.get("mean") and "our own" not in r["title"]]
    height = ROW * len(rows) + 62
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + 50}" height="{height}" '
           'font-family="sans-serif" font-size="13">',
           '<rect width="100%" height="100%" fill="white"/>',
           '<text x="12" y="22" font-weight="bold">Speed, as a multiple of the fastest peer\'s'
           "</text>"]
    for ratio in (0.25, 0.5, 1, 2, 4, 8, 16, 32):
        x = x_of(ratio)
        colour = "black" if ratio == 1 else "lightgrey"
        out.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="34" y2="{height - 24}" stroke="{colour}"/>'
                   f'<text x="{x:.1f}" y="{height - 8}" text-anchor="middle" fill="dimgrey">'
                   f"{ratio:g}</text>")
    for i, row in enumerate(rows):
        y = 38 + ROW * i
        one, end = x_of(1), x_of(row["mean"])
        colour = "seagreen" if row["mean"] >= 1 else "indianred"
        out.append(f'<text x="{LEFT - 8}" y="{y + 14}" text-anchor="end">{escape(row["title"])}'
                   "</text>"
                   f'<rect x="{min(one, end):.1f}" y="{y + 3}" width="{abs(end - one):.1f}" '
                   f'height="{ROW - 9}" fill="{colour}"/>'
                   f'<text x="{max(one, end) + 5:.1f}" y="{y + 14}">{row["mean"]:.2f}</text>')
    pathlib.Path(sys.argv[2]).write_text("\n".join([*out, "</svg>"]) + "\n")


if __name__ == "__main__":
    main()
