"""shipworthy-check CERTIFICATE RELEASE_FOLDER [OTHER_FOLDER]

Exit 0: accepted. Exit 1: rejected, with the reason. Exit 2: called wrongly, or a file cannot be read.
"""

from __future__ import annotations

import sys
from pathlib import Path

from shipworthy_check import Rejected, check, read


def main() -> int:
    """Judge the certificate that the command line names; the exit code."""
    words = sys.argv[1:]
    if not 2 <= len(words) <= 3 or words[0] in ("-h", "--help"):
        print(__doc__, file=sys.stderr)
        return 2
    try:
        document = check(Path(words[0]).read_bytes(), [read(folder) for folder in words[1:]])
    except OSError as error:
        print(f"no certificate can be read: {error}", file=sys.stderr)
        return 2
    except Rejected as error:
        print(f"rejected: {error}", file=sys.stderr)
        return 2 if error.broken else 1
    count = len(document["parts"])
    print(f"accepted: {document.get('text') or 'a bound'} ({count} part{'' if count == 1 else 's'})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
