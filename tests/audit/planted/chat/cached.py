recent = []  # defect: NS401
first = [1, 2, 3]  # fine
