"""Starts the page: python -m ClamSegWeb [FILES], or `clamseg web [FILES]`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ClamSegLib.commands.web import add_arguments
from ClamSegLib.system.errors import ClamSegError, InputError
from ClamSegWeb.roots import Roots


def main(words: Sequence[str] | None = None) -> int:
    """Serves the page until it is ended; returns the exit code."""
    options = _parser().parse_args(words)
    try:
        files = [_existing(path) for path in options.files]
        roots = Roots([*options.root, *(path if path.is_dir() else path.parent for path in files)])
        for root in roots.folders:
            if not root.is_dir():
                raise InputError(f"{root} is not a folder; give folders to --root.")
        return _serve(options, files, roots)
    except ClamSegError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="clamseg web", description="ClamSeg as a page in the browser. For research, not for diagnosis."
    )
    add_arguments(parser)
    return parser


def _serve(options: argparse.Namespace, files: list[Path], roots: Roots) -> int:
    # Imported late: --help and wrong words answer at once, and an import that fails says what to install.
    try:
        from ClamSegWeb.serving import Serving
    except ImportError as error:
        raise InputError(
            f"The page needs packages that are not installed ({error.name}); install them with pip install 'clamseg[web]', "
            "or in a checkout run: python3 run.py web"
        ) from error
    serving = Serving(
        files,
        roots,
        corrections=options.corrections.expanduser().resolve(),
        upload_limit_bytes=int(options.upload_limit * 1e9),
        opens_sample=not options.empty,
        opens_browser=not options.no_browser,
    )
    return serving.run(options.port)


def _existing(path: Path) -> Path:
    if not path.exists():
        raise InputError(f"{path} does not exist; give a scan or a folder with a DICOM series.")
    return path.resolve()


if __name__ == "__main__":
    sys.exit(main())
