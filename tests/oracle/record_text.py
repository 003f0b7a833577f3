"""Records Keras's answers about texts and sequences. Needs Keras.

`python tests/oracle/record_text.py` writes data/text.json; with `--check` it asks again and compares.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from keras.src.legacy.preprocessing import sequence, text

from oracle.cases_text import answers

PAGE = Path(__file__).resolve().parent / "data" / "text.json"


def main() -> int:
    """Record, or with `--check` compare with what was recorded and write nothing."""
    found = answers(text, sequence)
    same = PAGE.exists() and json.loads(PAGE.read_text(encoding="utf-8")) == found
    if sys.argv[1:] != ["--check"]:
        lines = [f"{json.dumps(name)}: {json.dumps(entry, sort_keys=True)}" for name, entry in found.items()]
        PAGE.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    elif not same:
        print("text.json")
    print(f"text: {len(found)} answers")
    return 1 if sys.argv[1:] == ["--check"] and not same else 0


if __name__ == "__main__":
    sys.exit(main())
