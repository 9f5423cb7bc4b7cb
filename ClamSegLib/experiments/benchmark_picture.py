"""The benchmark as a picture and a table: stages of a case, networks side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def draw(result: dict[str, Any], path: Path) -> None:
    """Writes the picture: stages of the case, and slices a second of every network with smallest and largest value."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 4.4), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    stages = result["case"]["seconds"]
    left.barh(list(stages), [stages[name]["median"] for name in stages], color="#0072B2")
    left.set_title(result["case"]["case"], fontsize=9)
    left.set_xlabel("seconds")
    networks = result["peers"]["networks"]
    rates = [networks[name]["slices_per_second"] for name in networks]
    medians = [rate["median"] for rate in rates]
    errors = [[r["median"] - r["min"] for r in rates], [r["max"] - r["median"] for r in rates]]
    colours = ["#D55E00" if name.startswith("ClamSeg") else "#999999" for name in networks]
    right.barh(list(networks), medians, xerr=errors, color=colours)
    right.invert_yaxis()
    right.tick_params(labelsize=8)
    features = result["peers"]["features"]
    right.set_title(f"features {features[0]}..{features[-1]}, {result['peers']['image_size']} px", fontsize=9)
    right.set_xlabel("slices a second, one branch")
    figure.savefig(path, dpi=110)


def table(result: dict[str, Any]) -> str:
    """The main figures as Markdown: median (smallest to largest)."""
    peers = result["peers"]
    lines = [
        f"| one branch, features {peers['features']}, {peers['image_size']} px, batch {peers['batch']}, {peers['clock']} | slices a second "
        f"| times {peers['compared_with'].split()[0]} | latency, s | share of peak |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {name}, {row['gflop_per_slice']:.1f} GFLOP | {_told(row['slices_per_second'])} | {_told(row['times_as_fast'])} | {_told(row['latency_seconds'])} "
        f"| {row['share_of_peak']['median']:.0%} |"
        for name, row in peers["networks"].items()
    ]
    lines += [f"| {name} | left out: {why} | | | |" for name, why in peers["left_out"].items()]
    for remark in sorted(set(peers["remarks"].values())):
        told = [name for name, words in peers["remarks"].items() if words == remark]
        lines += ["", f"{'; '.join(told)}: {remark}."]
    lines += ["", "| machine | |", "|---|---|"]
    lines += [f"| {name} | {_told(value)} |" for name, value in peers["peak"].items()]
    if "case" not in result:
        return "\n".join(lines) + "\n"
    lines += [
        "",
        "| case | whole process, s | network, s | share of the network | peak memory, MB |",
        "|---|---|---|---|---|",
    ]
    for key in ("case", "long_case"):
        if key in result:
            case = result[key]
            lines.append(
                f"| {case['case']} | {_told(case['wall_seconds'])} | {_told(case['seconds']['network'])} "
                f"| {case['network_share']['median']:.0%} | {case['peak_memory_mb']['median']:.0f} |"
            )
    return "\n".join(lines) + "\n"


def _told(value: dict[str, float]) -> str:
    return f"{value['median']:.3g} ({value['min']:.3g} to {value['max']:.3g})"
