"""Properties that hold for every input, shown from the program itself."""
