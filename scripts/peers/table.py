"""The generated parts of documents: Markdown between two marks that carry a name."""


def replace_block(path, name, text):
    """Puts `text` between the lines `<!-- NAME: generated -->` and `<!-- NAME: end -->`."""
    begin, end = f"<!-- {name}: generated -->", f"<!-- {name}: end -->"
    content = path.read_text()
    head, found, rest = content.partition(begin)
    _, found_end, tail = rest.partition(end)
    if not found or not found_end:
        raise SystemExit(f"{path}: the lines '{begin}' and '{end}' are missing")
    path.write_text(f"{head}{begin}\n{text}{end}{tail}")


def markdown(header, rows):
    lines = [header, ["---"] * len(header), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def percent(share):
    """Rounded down, so that 100 % means all of them."""
    return "100 %" if share == 1 else f"{int(share * 1e6) / 1e4:.4f} %"


def exact_cell(results):
    if not results or None in results:
        return "failed" if results else "-"
    worst = min(results, key=lambda r: r.share(r.within_one))
    text = f"{percent(min(r.share(r.equal) for r in results))} / {percent(worst.share(worst.within_one))}"
    return text + (f" (up to {worst.worst_ulp} ulp)" if worst.worst_ulp > 1 else "")


def drawn_cells(results):
    if not results or None in results:
        return ["failed" if results else "-"] + ["-"] * 4
    worst = max(results, key=lambda r: r.deviation)
    one = worst.kept == worst.kept  # not NaN: read off only with one expert
    return [f"{worst.kept:.6f} ({worst.expected:.6f})" if one else "-",
            f"{worst.deviation:.1f}" if one else "-", f"{worst.deviation_mergekit:.1f}" if one else "-",
            f"{max((r.norm_ratio for r in results), key=lambda x: abs(x - 1)):.5f}",
            "yes" if all(r.reproducible for r in results) else "no"]


def exact_table(title, results, variants):
    return markdown([title, *variants],
                    [[name, *(exact_cell(cells.get(v)) for v in variants)] for name, cells in results.items()])


def parity(versions, exact, drawn, itself, variants):
    text = f"{versions}.\n"
    if exact:
        text += "\n" + exact_table("merge", exact, variants)
    if drawn:
        header = ["merge", "dtype", "kept (expected)", "largest deviation, standard errors", "the same of mergekit",
                  "norm of the change, Assay / mergekit", "reproducible by seed"]
        text += "\n" + markdown(header, [[name, variant, *drawn_cells(results)]
                                        for name, cells in drawn.items() for variant, results in cells.items()])
    return text + "\n" + exact_table("mergekit on one thread and on two", itself, ["float32", "bfloat16"])
