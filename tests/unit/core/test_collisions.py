"""Names that another disk would fold into one."""

from __future__ import annotations

import pytest

from gsync.core.collisions import collisions
from gsync.core.names import RelPath


@pytest.mark.parametrize(
    ("names", "groups"),
    [
        pytest.param(["a", "b"], [], id="different names"),
        pytest.param(["Readme", "README", "other"], [["README", "Readme"]], id="case"),
        pytest.param(["caf\u00e9", "cafe\u0301"], [["cafe\u0301", "caf\u00e9"]], id="composition"),
        pytest.param(["stra\u00dfe", "STRASSE"], [["STRASSE", "stra\u00dfe"]], id="case that changes the length"),
        pytest.param(["\u00c9", "e\u0301"], [["e\u0301", "\u00c9"]], id="case and composition"),
        pytest.param(["x/a", "y/A"], [], id="in different directories"),
        pytest.param(["X", "X/a", "x", "x/a"], [["X", "x"]], id="directories, not what is in them"),
        pytest.param(["a", "a"], [], id="a name does not collide with itself"),
    ],
)
def test_groups_of_names_that_some_disks_cannot_tell_apart(names: list[str], groups: list[list[str]]) -> None:
    assert [list(group) for group in collisions(RelPath.parse(name) for name in names)] == groups
