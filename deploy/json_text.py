"""JSON of a document with a long list in it, piece by piece: the same text as `json.dumps` makes of all of it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any


def text_of(
    before: Mapping[str, Any],
    name: str,
    parts: Iterable[Sequence[Mapping[str, Any]]],
    after: Mapping[str, Any],
    indent: int | None = None,
) -> Iterator[str]:
    """The text of `{**before, name: [...], **after}`, neither of which is empty. `parts` are the list's, none empty:
    objects of plain values, with at least one each. NaN and infinity, which JSON does not have, are null in these.

    Raises:
        ValueError: there are some in the other two.
    """
    breaks = ["" if indent is None else "\n" + " " * (indent * level) for level in range(4)]
    commas = [f",{line or ' '}" for line in breaks]
    # Not told to indent, the encoder is one of C. Only separators have line breaks in them: in strings they are \n.
    encode = json.JSONEncoder(separators=(commas[3], ": "), allow_nan=False, check_circular=False).encode
    begin, end = f"{{{breaks[3]}", f"{breaks[2]}}}"
    yield _dumps(before, indent)[: -len(breaks[0]) - 1] + f"{commas[1]}{json.dumps(name)}: ["
    comma = breaks[2]
    for objects in parts:
        try:
            text = encode(objects)
        except ValueError:
            text = encode([{key: _finite(value) for key, value in each.items()} for each in objects])
        fields = text[2:-2].replace(f"}}{commas[3]}{{", f"{end}{commas[2]}{begin}")
        yield f"{comma}{begin}{fields}{end}"
        comma = commas[2]
    close = "]" if comma == breaks[2] else f"{breaks[1]}]"
    yield close + commas[1] + _dumps(after, indent)[1 + len(breaks[1]) :]


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _dumps(content: Mapping[str, Any], indent: int | None) -> str:
    return json.dumps(content, indent=indent, allow_nan=False)
