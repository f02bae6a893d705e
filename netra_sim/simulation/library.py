"""The scenario library, with one TOML file for each scenario, and the lookup of a scenario by name or path."""

from pathlib import Path

from netra_sim.near_names import did_you_mean
from netra_sim.simulation.scenario import Scenario, ScenarioError

LIBRARY = Path(__file__).with_name("scenarios")


def scenario_names() -> list[str]:
    """The names of all library scenarios, sorted."""
    return sorted(path.stem for path in LIBRARY.glob("*.toml"))


def find_scenario(name_or_path: str) -> Scenario:
    """Load a library scenario by name, or any scenario by the path of its file, which ends with ``.toml``.

    Raises:
        ScenarioError: there is no such scenario or file, or the file holds no valid scenario.
    """
    return Scenario.load(scenario_path(name_or_path))


def scenario_path(name_or_path: str) -> Path:
    """The file of a library scenario, or the given path if it ends with ``.toml``.

    Raises:
        ScenarioError: there is no such scenario or file.
    """
    path = Path(name_or_path)
    if path.suffix == ".toml":
        if not path.is_file():
            raise ScenarioError(f"there is no file {name_or_path}")
        return path
    names = scenario_names()
    if name_or_path not in names:
        otherwise = "`netra-sim scenarios` lists them; a file's name ends with .toml"
        hint = did_you_mean(name_or_path, names, otherwise)
        raise ScenarioError(f"there is no scenario {name_or_path!r}; {hint}")
    return LIBRARY / f"{name_or_path}.toml"
