"""Curves over time as one SVG that needs nothing else and follows light and dark."""

from html import escape

WIDTH, HEIGHT, LEFT, TOP, GAP = 360, 150, 46, 34, 68
POINTS = 240  # of a curve
LINE = 84  # letters of names below a panel
COLOURS = ["#1b6ca8", "#c0392b", "#2e8b57", "#8e44ad", "#b9770e", "#16a085", "#7f8c8d", "#d35400", "#2c3e50", "#27ae60", "#e84393", "#0097e6",
           "#6c5ce7", "#a29bfe"]


def nice(value):
    """The next of 1, 2, 5, 10, …"""
    step = 1
    while step < value:
        step *= 2.5 if str(step).startswith("2") else 2
    return step


def draw(title, panels):
    """panels: [(title, {name: [(minutes, value)]})], two a row. Every axis begins at 0, so that what is flat looks flat."""
    rows = (len(panels) + 1) // 2
    width, height = 2 * (WIDTH + LEFT + 30), TOP + rows * (HEIGHT + GAP)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="11">',
           "<style>text{fill:#333}path{fill:none;stroke-width:1.3}line{stroke:#bbb}rect{fill:#fff}"
           "@media(prefers-color-scheme:dark){text{fill:#ddd}line{stroke:#555}rect{fill:#161616}}</style>",
           f'<rect width="{width}" height="{height}"/><text x="10" y="18" font-size="13">{escape(title)}</text>']
    for n, (name, curves) in enumerate(panels):
        out += panel(name, curves, LEFT + n % 2 * (WIDTH + LEFT + 30), TOP + 16 + n // 2 * (HEIGHT + GAP))
    return "\n".join(out + ["</svg>\n"])


def panel(name, curves, x0, y0):
    points = [point for values in curves.values() for point in values] or [(1, 1)]
    last, top = max(t for t, _ in points) or 1, nice(max(v for _, v in points) or 1)
    yield f'<text x="{x0}" y="{y0 - 6}" font-weight="bold">{escape(name)}</text>'
    for part in (0, 0.5, 1):
        y = y0 + HEIGHT * (1 - part)
        yield f'<line x1="{x0}" y1="{y:.1f}" x2="{x0 + WIDTH}" y2="{y:.1f}"/><text x="{x0 - 4}" y="{y + 4:.1f}" text-anchor="end">{top * part:g}</text>'
    yield f'<text x="{x0 + WIDTH}" y="{y0 + HEIGHT + 14}" text-anchor="end">{last:.0f} min</text>'
    for n, (curve, values) in enumerate(curves.items()):
        colour = COLOURS[n % len(COLOURS)]
        path = " ".join(f"{x0 + t / last * WIDTH:.1f},{y0 + HEIGHT * (1 - v / top):.1f}" for t, v in thinned(values))
        yield f'<path stroke="{colour}" d="M{path}"><title>{escape(curve)}</title></path>'
    for n, names in enumerate(lines(list(curves))):
        text = " · ".join(f'<tspan fill="{COLOURS[list(curves).index(name) % len(COLOURS)]}">{escape(name)}</tspan>' for name in names)
        yield f'<text x="{x0}" y="{y0 + HEIGHT + 28 + 11 * n}" font-size="8.5">{text}</text>'


def thinned(values):
    """Of what is too close together to be seen, the highest."""
    step = -(-len(values) // POINTS)
    for at in range(0, len(values), step or 1):
        yield max(values[at:at + step], key=lambda value: value[1])


def lines(names):
    """As many in each as fit."""
    line = []
    for name in names:
        if line and len(" · ".join(line + [name])) > LINE:
            yield line
            line = []
        line.append(name)
    yield line
