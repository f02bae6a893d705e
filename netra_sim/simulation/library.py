"""The library of scenarios, one TOML file each, and how a name or a path becomes a scenario."""

import difflib
from pathlib import Path

from netra_sim.simulation.scenario import Scenario, ScenarioError

LIBRARY = Path(__file__).with_name("scenarios")


def scenario_names() -> list[str]:
    """The names of all scenarios in the library, sorted."""
    return sorted(path.stem for path in LIBRARY.glob("*.toml"))


def find_scenario(name_or_path: str) -> Scenario:
    """A scenario of the library, or one's own from a file.

    Raises:
        ScenarioError: there is neither, or the file is no scenario.
    """
    return Scenario.load(scenario_path(name_or_path))


def scenario_path(name_or_path: str) -> Path:
    """The file of a scenario of the library's, or the file that is named.

    Raises:
        ScenarioError: there is neither.
    """
    path = Path(name_or_path)
    if path.suffix == ".toml":
        if not path.is_file():
            raise ScenarioError(f"there is no file {name_or_path}")
        return path
    names = scenario_names()
    if name_or_path not in names:
        close = difflib.get_close_matches(name_or_path, names, n=1)
        hint = (
            f"did you mean {close[0]}?" if close else "`netra-sim scenarios` lists them; a file's name ends with .toml"
        )
        raise ScenarioError(f"there is no scenario {name_or_path!r}; {hint}")
    return LIBRARY / f"{name_or_path}.toml"
