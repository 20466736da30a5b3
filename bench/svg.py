"""Plots as SVG: lines and stacked bars, readable on light and on dark, without anything from elsewhere."""

import math
from xml.sax.saxutils import escape

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 340, 70, 180, 40, 50
COLOURS = [("#2166c0", "#6aa9f5"), ("#c2410c", "#f59e6a"), ("#15803d", "#6fd08c"), ("#7e22ce", "#c79bf2"), ("#a16207", "#e3c04f"),
           ("#0e7490", "#5cc8de"), ("#9d174d", "#f08ab8"), ("#525252", "#b0b0b0"), ("#3f6212", "#b5d36b")]
STYLE = "".join([
    "text{font:12px system-ui,sans-serif;fill:#24292f}.title{font-size:14px;font-weight:600}.grid{stroke:#d0d7de}",
    *(f".f{i}{{fill:{light}}}.s{i}{{stroke:{light};fill:none;stroke-width:2}}" for i, (light, _) in enumerate(COLOURS)),
    "@media(prefers-color-scheme:dark){text{fill:#e6edf3}.grid{stroke:#3d444d}",
    *(f".f{i}{{fill:{dark}}}.s{i}{{stroke:{dark}}}" for i, (_, dark) in enumerate(COLOURS)), "}"])


def number(value):
    """As short as it may be: 1200000 is 1.2M."""
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"


def ticks(low, high, log):
    if log:
        decades = [10.0 ** e for e in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)]
        if len(decades) < 4:
            decades = sorted(d * m for d in decades for m in (1, 2, 5))
        return [t for t in decades if low <= t <= high * 1.0001] or [low, high]
    step = 10 ** math.floor(math.log10((high - low) / 4 or 1))
    step *= next(m for m in (1, 2, 2.5, 5, 10) if (high - low) / (step * m) <= 6)
    return [low + step * i for i in range(int((high - low) / step + 1.0001))]


class Frame:
    """Title, axes and legend; `x` and `y` are where values lie."""

    def __init__(self, title, ylabel, highest, lowest=0.0, log=False, height=HEIGHT):
        self.height, self.log = height, log
        self.low, self.high = (lowest / 1.3, highest * 1.1) if log else (0.0, highest * 1.08 or 1)
        self.parts = [f'<text class="title" x="{LEFT}" y="20">{escape(title)}</text>']
        for t in ticks(self.low, self.high, log):
            self.parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{self.y(t):.1f}" y2="{self.y(t):.1f}"/>'
                              f'<text x="{LEFT - 8}" y="{self.y(t) + 4:.1f}" text-anchor="end">{number(t)}</text>')
        self.parts.append(f'<text transform="translate(16 {(TOP + height - BOTTOM) / 2:.0f}) rotate(-90)" text-anchor="middle">'
                          f'{escape(ylabel)}</text>')

    def y(self, value):
        share = math.log(value / self.low) / math.log(self.high / self.low) if self.log else (value - self.low) / (self.high - self.low)
        return self.height - BOTTOM - share * (self.height - BOTTOM - TOP)

    def below(self, at, text, line=0):
        self.parts.append(f'<text x="{at:.1f}" y="{self.height - BOTTOM + 18 + 16 * line}" text-anchor="middle">{escape(text)}</text>')

    def legend(self, names):
        for i, name in enumerate(names):
            y = TOP + 8 + 20 * i
            self.parts.append(f'<rect class="f{i}" x="{WIDTH - RIGHT + 16}" y="{y - 9}" width="10" height="10" rx="2"/>'
                              f'<text x="{WIDTH - RIGHT + 32}" y="{y}">{escape(name)}</text>')

    def text(self):
        return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {self.height}" width="{WIDTH}" height="{self.height}" '
                f'role="img"><style>{STYLE}</style>\n' + "\n".join(self.parts) + "\n</svg>\n")


def lines(title, xlabel, ylabel, series, names=None, xlog=False, ylog=False):
    """`series`: {name: [(x, y), …]}; `names`: what to write below x, in place of numbers."""
    xs, ys = ([point[i] for points in series.values() for point in points] for i in (0, 1))
    frame = Frame(title, ylabel, max(ys), min(ys), ylog)
    low, high = min(xs) if xlog or names else 0.0, max(xs)
    high = high if high > low else low + 1

    def x(value):
        share = math.log(value / low) / math.log(high / low) if xlog else (value - low) / (high - low)
        return LEFT + 10 + share * (WIDTH - RIGHT - LEFT - 20)
    for at in names or (sorted(set(xs)) if len(set(xs)) <= 6 else ticks(low, high, xlog)):
        frame.below(x(at), names[at] if names else number(at))
    frame.below((LEFT + WIDTH - RIGHT) / 2, xlabel, 1)
    for i, points in enumerate(series.values()):
        frame.parts.append(f'<polyline class="s{i}" points="' + " ".join(f"{x(a):.1f},{frame.y(b):.1f}" for a, b in points) + '"/>')
        if len(points) <= 12:
            frame.parts += [f'<circle class="f{i}" cx="{x(a):.1f}" cy="{frame.y(b):.1f}" r="3"/>' for a, b in points]
    frame.legend(series)
    return frame.text()


def bars(title, ylabel, groups, stacked=False):
    """`groups`: {what is below: {name: value}}, the names side by side, or one on the other."""
    names = list(dict.fromkeys(name for group in groups.values() for name in group))
    highest = max(sum(g.values()) if stacked else max(g.values()) for g in groups.values())
    frame = Frame(title, ylabel, highest)
    room = (WIDTH - RIGHT - LEFT) / len(groups)
    for g, (label, group) in enumerate(groups.items()):
        start, base = LEFT + g * room + room * 0.15, 0.0
        width = min(room * 0.7, 120) if stacked else min(room * 0.7 / len(names), 60)
        if stacked:
            start = LEFT + (g + 0.5) * room - width / 2
        for i, name in enumerate(names):
            if name not in group:
                continue
            top = frame.y(base + group[name])
            left = start if stacked else start + i * width
            frame.parts.append(f'<rect class="f{i}" x="{left:.1f}" y="{top:.1f}" width="{width - 2:.1f}" '
                               f'height="{frame.y(base) - top:.1f}"><title>{escape(name)}: {number(group[name])}</title></rect>')
            base += group[name] if stacked else 0
        frame.below(LEFT + (g + 0.5) * room if stacked else start + len(names) * width / 2, label)
    frame.legend(names)
    return frame.text()
