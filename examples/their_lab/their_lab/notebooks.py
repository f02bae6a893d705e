"""A notebook, with the chart that it shows."""

from pathlib import Path

from matplotlib.figure import Figure

from netra_sim.charts import Picture
from netra_sim.history import History, Kind
from netra_sim.notebooks import Notebook
from netra_sim.parameters import NotebookParameters

THEIR_NOTEBOOK = Notebook(
    name="their-notebook",
    file=str(Path(__file__).with_name("their_notebook.ipynb")),
    title="Their notebook",
    question="How many events does their system publish?",
    parameters=NotebookParameters,
)


def events_by_kind(history: History) -> Picture:
    """How many events of each kind were published; a chart is a function that returns a `Picture`."""
    counts = history.frame(Kind.PUBLISHED)["event"].value_counts()
    figure = Figure(figsize=(6, 3), layout="constrained")
    axes = figure.subplots()
    axes.barh(counts.index, counts.to_numpy())
    title = f"{counts.index[0]} is the most frequent event"
    axes.set_title(title)
    axes.set_xlabel("events")
    numbers = counts.rename("events").reset_index()
    return Picture(
        figure, title, f"Bars of {len(counts)} kinds of events.", "Counted where they are published.", numbers
    )
