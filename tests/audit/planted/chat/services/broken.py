def half(:  # defect: NS001
    return
