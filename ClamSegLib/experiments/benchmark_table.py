"""The benchmark as a table: networks side by side, the machine, the cases."""

from __future__ import annotations

from typing import Any


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
