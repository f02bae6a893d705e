"""The picture that only the validation and Windows notebooks draw."""

import numpy as np

from netra_sim.charts import Picture, detection_matrix
from netra_sim.defects import Detection


def detection_picture(detection: Detection) -> Picture:
    """Draw which check caught which defect."""
    names = detection.checks
    counts = np.array([[row.caught.get(name, 0) for name in names] for row in detection.rows]).reshape(-1, len(names))
    defects = [f"{row.defect} ({', '.join(row.incidents)})" for row in detection.rows]
    clean = [detection.clean.get(name, 0) for name in names]
    return detection_matrix(defects, names, counts, detection.seeds, clean, detection.origin)
