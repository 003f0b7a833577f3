"""The spellings of Keras 1 and 2: tables of names, and warnings that contain the current ones."""
