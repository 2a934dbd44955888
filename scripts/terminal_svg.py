"""Draws a terminal's screen as SVG: stdin is what `tmux capture-pane -e -p` prints, the arguments are its size."""

import re
import sys
from html import escape

CELL_WIDTH, CELL_HEIGHT, MARGIN, BAR = 8.4, 19, 16, 30
BACKGROUND, FOREGROUND = "#1e2127", "#d7dae0"
COLOURS = ["#5c6370", "#e06c75", "#98c379", "#d8b26a", "#61afef", "#c678dd", "#56b6c2", "#d7dae0"]
BRIGHT = ["#7f848e", "#ff8a93", "#b5e39a", "#f0cf8e", "#8ac8ff", "#e29bf5", "#7fdbe6", "#ffffff"]


def runs(line, style):
    """The line as (first column, text, style) for each run of one style, from the style that the last one left."""
    column = 0
    for codes, text in re.findall(r"(?:\x1b\[([\d;]*)m)|([^\x1b]+)", line):
        if text:
            yield column, text, dict(style)
            column += len(text)
            continue
        codes = [int(code or 0) for code in codes.split(";")]
        if codes[:2] == [38, 5]:
            style["colour"] = indexed(codes[2])
            codes = []
        for code in codes:
            if code == 0:
                style.clear()
            elif code in (1, 2, 7):
                style[code] = True
            elif 30 <= code <= 37:
                style["colour"] = COLOURS[code - 30]
            elif 90 <= code <= 97:
                style["colour"] = BRIGHT[code - 90]
            elif code == 39:
                style.pop("colour", None)


def indexed(number):
    """A colour of the 256: the 16 of the theme, a cube of six steps a side, and greys."""
    if number < 16:
        return (COLOURS + BRIGHT)[number]
    if number >= 232:
        return "#" + f"{8 + 10 * (number - 232):02x}" * 3
    steps = [0, 95, 135, 175, 215, 255]
    return "#" + "".join(f"{steps[(number - 16) // side % 6]:02x}" for side in (36, 6, 1))


def draw(lines, columns, rows):
    """The whole picture."""
    width, height = columns * CELL_WIDTH + 2 * MARGIN, rows * CELL_HEIGHT + 2 * MARGIN + BAR
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" width="{width:.0f}" '
        f'height="{height}" font-family="ui-monospace, Menlo, Consolas, \'DejaVu Sans Mono\', monospace" '
        f'font-size="14">'
    )
    yield f'<rect width="{width:.0f}" height="{height}" rx="8" fill="{BACKGROUND}"/>'
    for number, colour in enumerate(["#e06c75", "#d8b26a", "#98c379"]):
        yield f'<circle cx="{MARGIN + 4 + 18 * number}" cy="20" r="6" fill="{colour}"/>'
    current = {}
    for row, line in enumerate(lines):
        y = BAR + MARGIN + row * CELL_HEIGHT
        for column, text, style in runs(line, current):
            x, length = MARGIN + column * CELL_WIDTH, len(text) * CELL_WIDTH
            colour = style.get("colour", FOREGROUND)
            if style.get(7):
                yield f'<rect x="{x:.1f}" y="{y}" width="{length:.1f}" height="{CELL_HEIGHT}" fill="{colour}"/>'
                colour = BACKGROUND
            weight = ' font-weight="bold"' if style.get(1) else ""
            faint = ' opacity="0.6"' if style.get(2) else ""
            yield (
                f'<text x="{x:.1f}" y="{y + 14}" fill="{colour}" textLength="{length:.1f}" xml:space="preserve"'
                f"{weight}{faint}>{escape(text)}</text>"
            )
    yield "</svg>"


def main():
    """Reads, and draws."""
    columns, rows = int(sys.argv[1]), int(sys.argv[2])
    lines = sys.stdin.read().splitlines()[:rows]
    print("\n".join(draw(lines, columns, rows)))


if __name__ == "__main__":
    main()
