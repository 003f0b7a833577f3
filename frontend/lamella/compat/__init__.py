"""The spellings of Keras 1 and 2: tables of names, and the warnings that name today's."""
