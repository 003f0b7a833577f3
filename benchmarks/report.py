"""What a reader sees: lines of text, a chart of bars, a chart of growth."""

from __future__ import annotations

import math

from measure import ratio
from peers import PEERS

COLORS = {
    "lamella-jax": "#1f6fb4",
    "lamella-numpy": "#6fb1e0",
    "keras": "#c8442d",
    "jax-step": "#999999",
    "jax-scan": "#bbbbbb",
    "torch": "#e8a33d",
    "numpy": "#8c6bb1",
}


def seconds(value):
    """A duration in a unit that suits it."""
    unit, size = next(((u, s) for u, s in (("s", 1.0), ("ms", 1e-3)) if value >= s), ("us", 1e-6))
    return f"{value / size:.3g} {unit}"


def text(workload, found, rate, load):
    """The table of one workload."""
    lines = [f"{workload.title}    (load {load:.1f})" if load is not None else workload.title]
    ours = [p for p in ("lamella-jax", "lamella-numpy") if p in found and found[p].seconds]
    head = "".join(f"{p + ' takes':>24}" for p in ours)
    lines.append(f"  {'':38}{'median':>9}{'quartiles':>19}{'peak':>9}{head}")
    for peer, times in found.items():
        label = PEERS[peer][0]
        if not times.seconds:
            lines.append(f"  {label:38}{'-':>9}   {times.missing}")
            continue
        low, high = times.spread
        peak = f"{times.peak_bytes / 2**20:.0f} MB" if times.peak_bytes else ""
        line = f"  {label:38}{seconds(times.median):>9}{f'{seconds(low)}-{seconds(high)}':>19}{peak:>9}"
        for one in ours:
            if one != peer:
                middle, a, b = ratio(found[one], times)
                line += f"{f'{middle:.2f}x ({a:.2f}-{b:.2f})':>24}"
            else:
                line += " " * 24
        lines.append(line)
    return "\n".join([*lines, *floor(workload, found, rate), *verdicts(workload, found)])


def floor(workload, found, rate):
    """The arithmetic, and how far from it each peer is."""
    if not workload.flops:
        return []
    least = workload.flops / rate
    far = {peer: times.median / least for peer, times in found.items() if times.seconds}
    distances = ", ".join(f"{peer} {factor:.3g}x" for peer, factor in far.items())
    return [
        f"  products: {workload.flops / 1e9:.3g} GFLOP, {seconds(least)} at {rate / 1e9:.0f} GFLOP/s; taken: {distances}"
    ]


def verdicts(workload, found):
    """One line for every ratio asked for."""
    lines = []
    for one, aims in workload.aims.items():
        for other, aim in aims.items():
            value = reached(found, one, other)
            if value is not None:
                verdict = "reached" if value <= aim else "NOT reached"
                lines.append(f"  {one} against {other}: {value:.2f}x, asked for at most {aim}x: {verdict}")
    return lines


def reached(found, one, other):
    """The ratio of `one` to `other`, which is "jax" for the better of the two loops; None where one is missing."""
    names = ("jax-step", "jax-scan") if other == "jax" else (other,)
    there = [found[n] for n in names if n in found and found[n].seconds]
    if one not in found or not found[one].seconds or not there:
        return None
    return ratio(found[one], min(there, key=lambda times: times.median))[0]


def markdown(results):
    """The medians of all peers, and the ratios asked for, as a table for a page."""
    names = list(dict.fromkeys(peer for _, found in results for peer in found))
    lines = [f"| | {' | '.join(names)} | asked for, and found |", "|---" * (len(names) + 2) + "|"]
    for workload, found in results:
        cells = [seconds(found[n].median) if n in found and found[n].seconds else "-" for n in names]
        told = []
        for one, aims in workload.aims.items():
            for other, aim in aims.items():
                value = reached(found, one, other)
                if value is not None:
                    told.append(
                        f"{one}/{other} {aim}: {'' if value <= aim else '**'}{value:.2f}{'' if value <= aim else '**'}"
                    )
        lines.append(f"| {workload.title} | {' | '.join(cells)} | {'; '.join(told)} |")
    return "\n".join(lines)


def bars(results, path):
    """One panel for every workload: medians, with the quartiles as whiskers.

    Raises:
        ImportError: matplotlib is not installed.
    """
    plot = _pyplot()
    columns = 4
    figure, axes = plot.subplots(
        math.ceil(len(results) / columns), columns, figsize=(18, 2.6 * math.ceil(len(results) / columns)), squeeze=False
    )
    for axis in axes.flat[len(results) :]:
        axis.axis("off")
    for axis, (workload, found) in zip(axes.flat, results, strict=False):
        shown = [t for t in found.values() if t.seconds]
        unit, name = (1, "s") if max(t.median for t in shown) >= 1 else (1e-3, "ms")
        if max(t.median for t in shown) < 1e-3:
            unit, name = 1e-6, "us"
        middle = [t.median / unit for t in shown]
        whiskers = [[m - t.spread[0] / unit for m, t in zip(middle, shown, strict=True)]]
        whiskers.append([t.spread[1] / unit - m for m, t in zip(middle, shown, strict=True)])
        axis.barh(
            [t.peer for t in shown],
            middle,
            xerr=[[max(w, 0) for w in side] for side in whiskers],
            color=[COLORS[t.peer] for t in shown],
            error_kw={"lw": 1},
        )
        axis.invert_yaxis()
        axis.set_title(f"{workload.title}, {name}", fontsize=8)
        axis.tick_params(labelsize=7)
    figure.tight_layout()
    figure.savefig(path, dpi=90)
    plot.close(figure)


def growth(series, path):
    """Time against rows, steps and layers: one panel each, a line for each backend.

    Raises:
        ImportError: matplotlib is not installed.
    """
    plot = _pyplot()
    figure, axes = plot.subplots(1, len(series), figsize=(5 * len(series), 3.4), squeeze=False)
    for axis, (what, lines) in zip(axes.flat, series.items(), strict=True):
        for peer, points in lines.items():
            sizes, times = zip(*points, strict=True)
            axis.plot(sizes, [1e3 * t for t in times], "o-", label=peer, color=COLORS[peer])
        axis.set_xlabel(what)
        axis.set_ylabel("ms per epoch")
        axis.set_xlim(left=0)
        axis.set_ylim(bottom=0)
        axis.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=90)
    plot.close(figure)


def _pyplot():
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plot

    return plot
