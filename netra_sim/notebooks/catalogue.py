"""The catalogue of notebooks: the question and the parameters of each."""

from pathlib import Path

import msgspec

from netra_sim.fingerprint import CHECKOUT
from netra_sim.parameters import NotebookParameters
from netra_sim.registry import Registry
from netra_sim.studies.concurrency import ConcurrencyParameters
from netra_sim.studies.explorer import ExplorerParameters
from netra_sim.studies.fidelity import RealityParameters
from netra_sim.studies.isolation import IsolationParameters
from netra_sim.studies.systems import SystemParameters
from netra_sim.studies.windows import WindowsParameters
from netra_sim.verdict import ValidationParameters

FOLDER = CHECKOUT / "notebooks"


class Notebook(msgspec.Struct, frozen=True, kw_only=True):
    """A notebook.

    Attributes:
        name: its name on the command line and in file names.
        file: its file name in `FOLDER`, or an absolute path.
        title: the title of its page.
        question: the question that it answers; its first cell begins with it.
        parameters: the class of its parameters.
        rests_on: what its figures assume, for readers; "" if nothing is to be said.
        in_every_report: whether a report runs it without being asked to.
    """

    name: str
    file: str
    title: str
    question: str
    parameters: type[NotebookParameters]
    rests_on: str = ""
    in_every_report: bool = True

    @property
    def path(self) -> Path:
        """The path of its file."""
        return FOLDER / self.file


_SIMULATED = "Simulated, not measured in production: the times of the network and of the agents are the scenario's."

VALIDATION = Notebook(
    name="validation",
    file="05_remediation_validation.ipynb",
    title="Remediation validation",
    question="Which claims of the remediation plan does the evidence prove?",
    parameters=ValidationParameters,
    rests_on=f"{_SIMULATED} The figures of the real server are from this one machine, with server and clients on it.",
)

NOTEBOOKS: Registry[Notebook] = Registry(
    "netra_sim.notebooks",
    (
        Notebook(
            name="concurrency",
            file="01_concurrent_users.ipynb",
            title="Concurrent users",
            question="How does latency grow with the number of users, and where is the knee?",
            parameters=ConcurrencyParameters,
            rests_on=f"{_SIMULATED} One server process with one event loop, and nothing that it shares with others.",
        ),
        Notebook(
            name="isolation",
            file="02_isolation.ipynb",
            title="Isolation",
            question="Which user received which user's events, and what would each defect have leaked?",
            parameters=IsolationParameters,
            rests_on=_SIMULATED,
        ),
        Notebook(
            name="windows",
            file="03_windows_runtime.ipynb",
            title="The Windows runtime",
            question="What does Windows' clock do to waits and to users?",
            parameters=WindowsParameters,
            rests_on="The users are simulated. The waits are timed on this one machine, on a simulated Windows clock, and "
            "as recorded on Windows CPython.",
        ),
        Notebook(
            name="explorer",
            file="04_failure_explorer.ipynb",
            title="Failure explorer",
            question="What happens when something fails, side by side and from one seed?",
            parameters=ExplorerParameters,
            rests_on=_SIMULATED,
        ),
        VALIDATION,
        Notebook(
            name="your-backend",
            file="06_your_own_backend.ipynb",
            title="Your own backend",
            question="Does your own back end keep its users apart, answer them in time, and stop working when they leave?",
            parameters=SystemParameters,
            rests_on="The system is real; its users, its services and its network are simulated, and their times are the "
            "scenario's.",
            # It says nothing about the plan, and the example that it takes by default needs packages of its own.
            in_every_report=False,
        ),
        Notebook(
            name="reality",
            file="07_simulation_against_reality.ipynb",
            title="Simulation against reality",
            question="How far are simulated times from those of the same system on real sockets?",
            parameters=RealityParameters,
            rests_on="The real figures are from this one machine, with servers and clients on it.",
            in_every_report=False,  # it measures real time for minutes
        ),
    ),
    kind=Notebook,
)
"""All notebooks by name: ours in the order of their numbers, then those of other packages."""
